//! Converts the parser's result into what is evaluated.

use jsonpath_rust::parser::model::{
    Comparable, Comparison as Compared, Filter as Parsed, FilterAtom, FnArg, JpQuery, Literal,
    Segment as ParsedSegment, Selector as ParsedSelector, SingularQuery, SingularQuerySegment,
    Test, TestFunction,
};
use serde_json::Value;

use super::{Comparison, Filter, Lists, Nodes, Operand, Pattern, Query, Segment, Selector};

impl From<&JpQuery> for Query {
    fn from(query: &JpQuery) -> Self {
        Self(segments(&query.segments))
    }
}

fn segments(parsed: &[ParsedSegment]) -> Vec<Segment> {
    parsed.iter().map(segment).collect()
}

fn segment(parsed: &ParsedSegment) -> Segment {
    match parsed {
        ParsedSegment::Descendant(inner) => Segment {
            descends: true,
            ..segment(inner)
        },
        ParsedSegment::Selector(one) => child(vec![selector(one)]),
        ParsedSegment::Selectors(several) => child(several.iter().map(selector).collect()),
    }
}

fn child(selectors: Vec<Selector>) -> Segment {
    Segment {
        descends: false,
        selectors,
    }
}

fn selector(parsed: &ParsedSelector) -> Selector {
    match parsed {
        ParsedSelector::Name(name) => Selector::Name(name.clone()),
        ParsedSelector::Wildcard => Selector::Wildcard,
        ParsedSelector::Index(index) => Selector::Index(*index),
        ParsedSelector::Slice(start, end, step) => Selector::Slice {
            start: *start,
            end: *end,
            step: step.unwrap_or(1),
        },
        ParsedSelector::Filter(parsed) => Selector::Filter(filter(parsed)),
    }
}

fn filter(parsed: &Parsed) -> Filter {
    match parsed {
        Parsed::Or(any) => Filter::Any(any.iter().map(filter).collect()),
        Parsed::And(all) => Filter::All(all.iter().map(filter).collect()),
        Parsed::Atom(FilterAtom::Filter { expr, not }) => negated(filter(expr), *not),
        Parsed::Atom(FilterAtom::Test { expr, not }) => negated(test(expr), *not),
        Parsed::Atom(FilterAtom::Comparison(compared)) => comparison(compared),
    }
}

fn negated(filter: Filter, not: bool) -> Filter {
    match not {
        true => Filter::Not(Box::new(filter)),
        false => filter,
    }
}

fn test(parsed: &Test) -> Filter {
    match parsed {
        Test::RelQuery(_) | Test::AbsQuery(_) => {
            nodes(parsed).map_or(Filter::Never, Filter::Exists)
        }
        Test::Function(function) => match &**function {
            TestFunction::Match(text, pattern) => {
                Filter::Matches(argument(text), Pattern::new(argument(pattern), true))
            }
            TestFunction::Search(text, pattern) => {
                Filter::Matches(argument(text), Pattern::new(argument(pattern), false))
            }
            TestFunction::Custom(name, arguments) => lists(name, arguments),
            // These functions return a value, which is neither true nor false.
            TestFunction::Length(_) | TestFunction::Value(_) | TestFunction::Count(_) => {
                Filter::Never
            }
        },
    }
}

fn lists(name: &str, arguments: &[FnArg]) -> Filter {
    let lists = match name {
        "in" => Lists::In,
        "nin" => Lists::NotIn,
        "any_of" => Lists::AnyOf,
        "none_of" => Lists::NoneOf,
        "subset_of" => Lists::SubsetOf,
        _ => return Filter::Never,
    };
    match arguments {
        [left, right] => Filter::Lists(argument(left), lists, argument(right)),
        _ => Filter::Never,
    }
}

fn nodes(parsed: &Test) -> Option<Nodes> {
    match parsed {
        Test::RelQuery(relative) => Some(Nodes {
            from_root: false,
            segments: segments(relative),
        }),
        Test::AbsQuery(absolute) => Some(Nodes {
            from_root: true,
            segments: segments(&absolute.segments),
        }),
        Test::Function(_) => None,
    }
}

fn comparison(parsed: &Compared) -> Filter {
    use Comparison::{Equal, Less, LessOrEqual};
    let (left, right) = parsed.vals();
    let (left, right) = (operand(left), operand(right));
    match parsed {
        Compared::Eq(..) => Filter::Compare(left, Equal, right),
        Compared::Ne(..) => Filter::Not(Box::new(Filter::Compare(left, Equal, right))),
        Compared::Lt(..) => Filter::Compare(left, Less, right),
        Compared::Lte(..) => Filter::Compare(left, LessOrEqual, right),
        Compared::Gt(..) => Filter::Compare(right, Less, left),
        Compared::Gte(..) => Filter::Compare(right, LessOrEqual, left),
    }
}

fn operand(parsed: &Comparable) -> Operand {
    match parsed {
        Comparable::Literal(parsed) => Operand::Literal(literal(parsed)),
        Comparable::Function(parsed) => function(parsed),
        Comparable::SingularQuery(query) => {
            let (from_root, steps) = match query {
                SingularQuery::Current(steps) => (false, steps),
                SingularQuery::Root(steps) => (true, steps),
            };
            let segments = steps.iter().map(|step| {
                child(vec![match step {
                    SingularQuerySegment::Index(index) => Selector::Index(*index),
                    SingularQuerySegment::Name(name) => Selector::Name(name.clone()),
                }])
            });
            Operand::Value(Nodes {
                from_root,
                segments: segments.collect(),
            })
        }
    }
}

fn function(parsed: &TestFunction) -> Operand {
    let of = |of: &FnArg| match of {
        FnArg::Test(test) => nodes(test),
        FnArg::Literal(_) | FnArg::Filter(_) => None,
    };
    match parsed {
        TestFunction::Length(of) => Operand::Length(Box::new(argument(of))),
        TestFunction::Value(value) => of(value).map_or(Operand::Nothing, Operand::Value),
        TestFunction::Count(counted) => of(counted).map_or(Operand::Nothing, Operand::Count),
        TestFunction::Custom(..) | TestFunction::Search(..) | TestFunction::Match(..) => {
            Operand::Nothing
        }
    }
}

fn argument(parsed: &FnArg) -> Operand {
    match parsed {
        FnArg::Literal(parsed) => Operand::Literal(literal(parsed)),
        FnArg::Filter(parsed) => Operand::Truth(Box::new(filter(parsed))),
        FnArg::Test(parsed) => match (&**parsed, nodes(parsed)) {
            (_, Some(nodes)) => Operand::Value(nodes),
            (Test::Function(inner), None) if inner.is_comparable() => function(inner),
            (_, None) => Operand::Truth(Box::new(test(parsed))),
        },
    }
}

fn literal(parsed: &Literal) -> Value {
    match parsed {
        Literal::Int(value) => (*value).into(),
        Literal::Float(value) => (*value).into(),
        Literal::String(value) => value.clone().into(),
        Literal::Bool(value) => (*value).into(),
        Literal::Null => Value::Null,
    }
}

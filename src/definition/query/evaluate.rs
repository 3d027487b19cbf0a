//! Finds nodes depth first and in document order, without a list of intermediate nodes.

use std::{borrow::Cow, ops::ControlFlow};

use serde_json::Value;

use super::{
    Comparison, Filter, Lists, Nodes, Operand, Pattern, Query, Segment, Selector, Steps,
    TooManySteps,
    pattern::{DYNAMIC_BYTES_MAX, DYNAMIC_STEPS, compile},
};
use crate::definition::ElementKey;

/// A node that was found.
#[derive(Debug, Clone, Copy)]
pub(in crate::definition) struct Found<'a> {
    pub(in crate::definition) value: &'a Value,
    /// The position of the node in its parent. None for the document itself.
    pub(in crate::definition) key: Option<ElementKey<'a>>,
}

/// Why the search stops: the caller has enough, or no steps are left.
type Stop = Option<TooManySteps>;

type Flow = ControlFlow<Stop>;

/// The function that receives the nodes.
type Sink<'s, 'a> = &'s mut dyn FnMut(Found<'a>) -> Flow;

/// The data that a query is evaluated with.
#[derive(Clone, Copy)]
struct Scope<'a, 's> {
    root: &'a Value,
    steps: &'s Steps,
}

impl<'a> Found<'a> {
    fn document(value: &'a Value) -> Self {
        let key = None;
        Self { value, key }
    }
}

impl Query {
    /// Shows `take` all nodes, in document order, until `take` wants no more.
    ///
    /// # Errors
    /// If there are not enough steps.
    pub(in crate::definition) fn find<'a>(
        &self,
        document: &'a Value,
        steps: &Steps,
        mut take: impl FnMut(Found<'a>) -> ControlFlow<()>,
    ) -> Result<(), TooManySteps> {
        let scope = Scope {
            root: document,
            steps,
        };
        let mut sink = |found| match take(found) {
            ControlFlow::Continue(()) => Flow::Continue(()),
            ControlFlow::Break(()) => Flow::Break(None),
        };
        match scope.walk(&self.0, Found::document(document), &mut sink) {
            Flow::Break(Some(error)) => Err(error),
            Flow::Break(None) | Flow::Continue(()) => Ok(()),
        }
    }
}

impl<'a> Scope<'a, '_> {
    fn step(&self) -> Flow {
        self.steps(1)
    }

    fn steps(&self, steps: u64) -> Flow {
        match self.steps.take(steps) {
            Ok(()) => Flow::Continue(()),
            Err(error) => Flow::Break(Some(error)),
        }
    }

    fn walk(&self, segments: &[Segment], at: Found<'a>, sink: Sink<'_, 'a>) -> Flow {
        self.step()?;
        let Some((first, rest)) = segments.split_first() else {
            return sink(at);
        };
        for selector in &first.selectors {
            self.select(selector, at.value, &mut |found| {
                self.walk(rest, found, &mut *sink)
            })?;
        }
        if first.descends {
            for inner in children(at.value) {
                self.walk(segments, inner, &mut *sink)?;
            }
        }
        Flow::Continue(())
    }

    fn select(&self, selector: &Selector, at: &'a Value, sink: Sink<'_, 'a>) -> Flow {
        match selector {
            Selector::Name(name) => match at.as_object().and_then(|at| at.get_key_value(name)) {
                Some((name, value)) => sink(Found {
                    value,
                    key: Some(ElementKey::Name(name)),
                }),
                None => Flow::Continue(()),
            },
            Selector::Index(index) => match at.as_array() {
                Some(items) => position(items.len(), *index)
                    .and_then(|index| item(items, index))
                    .map_or(Flow::Continue(()), sink),
                None => Flow::Continue(()),
            },
            Selector::Wildcard => children(at).try_for_each(sink),
            Selector::Slice { start, end, step } => match at.as_array() {
                Some(items) => slice(items.len(), [*start, *end], *step)
                    .filter_map(|index| item(items, index))
                    .try_for_each(|found| {
                        self.step()?;
                        sink(found)
                    }),
                None => Flow::Continue(()),
            },
            Selector::Filter(filter) => {
                for found in children(at) {
                    if self.holds(filter, found.value)? {
                        sink(found)?;
                    }
                }
                Flow::Continue(())
            }
        }
    }

    fn holds(&self, filter: &Filter, at: &'a Value) -> ControlFlow<Stop, bool> {
        self.step()?;
        ControlFlow::Continue(match filter {
            Filter::Any(any) => {
                for one in any {
                    if self.holds(one, at)? {
                        return ControlFlow::Continue(true);
                    }
                }
                false
            }
            Filter::All(all) => {
                for one in all {
                    if !self.holds(one, at)? {
                        return ControlFlow::Continue(false);
                    }
                }
                true
            }
            Filter::Not(inner) => !self.holds(inner, at)?,
            Filter::Exists(nodes) => self.first(nodes, at, 1)?.0 == 1,
            Filter::Compare(left, comparison, right) => {
                let (left, right) = (self.value(left, at)?, self.value(right, at)?);
                self.compare(left.as_deref(), *comparison, right.as_deref())?
            }
            Filter::Matches(text, pattern) => {
                let text = self.value(text, at)?;
                match text.as_deref().and_then(Value::as_str) {
                    Some(text) => self.matches(text, pattern, at)?,
                    None => false,
                }
            }
            Filter::Lists(left, lists, right) => {
                let (left, right) = (self.value(left, at)?, self.value(right, at)?);
                match (left.as_deref(), right.as_deref().and_then(Value::as_array)) {
                    (Some(left), Some(right)) => self.lists(left, *lists, right)?,
                    _ => false,
                }
            }
            Filter::Never => false,
        })
    }

    /// The number of nodes, counted up to `limit`, and the first node.
    fn first(
        &self,
        nodes: &Nodes,
        at: &'a Value,
        limit: u64,
    ) -> ControlFlow<Stop, (u64, Option<&'a Value>)> {
        let from = match nodes.from_root {
            true => self.root,
            false => at,
        };
        let (mut count, mut first) = (0, None);
        let flow = self.walk(&nodes.segments, Found::document(from), &mut |found| {
            first.get_or_insert(found.value);
            count += 1;
            match count == limit {
                true => Flow::Break(None),
                false => Flow::Continue(()),
            }
        });
        match flow {
            Flow::Break(Some(error)) => ControlFlow::Break(Some(error)),
            Flow::Break(None) | Flow::Continue(()) => ControlFlow::Continue((count, first)),
        }
    }

    /// None means "nothing" in the sense of the RFC.
    fn value<'v>(
        &self,
        operand: &'v Operand,
        at: &'a Value,
    ) -> ControlFlow<Stop, Option<Cow<'v, Value>>>
    where
        'a: 'v,
    {
        ControlFlow::Continue(match operand {
            Operand::Literal(value) => Some(Cow::Borrowed(value)),
            Operand::Value(nodes) => match self.first(nodes, at, 2)? {
                (1, first) => first.map(Cow::Borrowed),
                _ => None,
            },
            Operand::Length(of) => {
                let length = match self.value(of, at)?.as_deref() {
                    Some(Value::String(text)) => {
                        self.steps(text.len() as u64 / 16)?;
                        Some(text.chars().count())
                    }
                    Some(Value::Array(items)) => Some(items.len()),
                    Some(Value::Object(members)) => Some(members.len()),
                    _ => None,
                };
                length.map(|length| Cow::Owned(length.into()))
            }
            Operand::Count(nodes) => {
                let (count, _) = self.first(nodes, at, u64::MAX)?;
                Some(Cow::Owned(count.into()))
            }
            Operand::Truth(filter) => Some(Cow::Owned(self.holds(filter, at)?.into())),
            Operand::Nothing => None,
        })
    }

    fn compare(
        &self,
        left: Option<&Value>,
        comparison: Comparison,
        right: Option<&Value>,
    ) -> ControlFlow<Stop, bool> {
        let (Some(left), Some(right)) = (left, right) else {
            let both_nothing = left.is_none() && right.is_none();
            return ControlFlow::Continue(both_nothing && comparison != Comparison::Less);
        };
        let is_less = match (left, right) {
            (Value::String(left), Value::String(right)) => {
                self.steps(left.len().min(right.len()) as u64 / 64)?;
                left < right
            }
            _ => number_order(left, right) == Some(std::cmp::Ordering::Less),
        };
        ControlFlow::Continue(match comparison {
            Comparison::Less => is_less,
            Comparison::LessOrEqual => is_less || self.equal(left, right)?,
            Comparison::Equal => self.equal(left, right)?,
        })
    }

    fn equal(&self, left: &Value, right: &Value) -> ControlFlow<Stop, bool> {
        self.step()?;
        ControlFlow::Continue(match (left, right) {
            (Value::Number(_), Value::Number(_)) => {
                number_order(left, right) == Some(std::cmp::Ordering::Equal)
            }
            (Value::String(left), Value::String(right)) => {
                self.steps(left.len().min(right.len()) as u64 / 64)?;
                left == right
            }
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
                for (left, right) in left.iter().zip(right) {
                    if !self.equal(left, right)? {
                        return ControlFlow::Continue(false);
                    }
                }
                true
            }
            (Value::Object(left), Value::Object(right)) if left.len() == right.len() => {
                for (name, left) in left {
                    let Some(right) = right.get(name) else {
                        return ControlFlow::Continue(false);
                    };
                    if !self.equal(left, right)? {
                        return ControlFlow::Continue(false);
                    }
                }
                true
            }
            (Value::Null, Value::Null) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            _ => false,
        })
    }

    fn matches(&self, text: &str, pattern: &Pattern, at: &'a Value) -> ControlFlow<Stop, bool> {
        self.steps(text.len() as u64)?;
        ControlFlow::Continue(match pattern {
            Pattern::Known(pattern) => pattern.as_ref().is_some_and(|known| known.is_match(text)),
            Pattern::Dynamic { of, whole } => {
                self.steps(DYNAMIC_STEPS)?;
                let pattern = self.value(of, at)?;
                let pattern = pattern.as_deref().and_then(Value::as_str);
                let pattern = pattern.filter(|pattern| pattern.len() <= DYNAMIC_BYTES_MAX);
                let pattern = pattern.and_then(|pattern| compile(pattern, *whole));
                pattern.is_some_and(|pattern| pattern.is_match(text))
            }
        })
    }

    fn lists(&self, left: &Value, lists: Lists, right: &[Value]) -> ControlFlow<Stop, bool> {
        let one = match lists {
            Lists::In => return self.contains(right, left),
            Lists::NotIn => return ControlFlow::Continue(!self.contains(right, left)?),
            Lists::AnyOf | Lists::NoneOf | Lists::SubsetOf => left.as_array(),
        };
        let Some(left) = one else {
            return ControlFlow::Continue(false);
        };
        for one in left {
            let is_in = self.contains(right, one)?;
            match lists {
                Lists::AnyOf if is_in => return ControlFlow::Continue(true),
                Lists::NoneOf if is_in => return ControlFlow::Continue(false),
                Lists::SubsetOf if !is_in => return ControlFlow::Continue(false),
                _ => {}
            }
        }
        ControlFlow::Continue(lists != Lists::AnyOf)
    }

    fn contains(&self, list: &[Value], wanted: &Value) -> ControlFlow<Stop, bool> {
        for item in list {
            if self.equal(item, wanted)? {
                return ControlFlow::Continue(true);
            }
        }
        ControlFlow::Continue(false)
    }
}

fn children(of: &Value) -> impl Iterator<Item = Found<'_>> {
    let items = of.as_array().map(Vec::as_slice).unwrap_or_default();
    let items = items.iter().enumerate().map(|(index, value)| Found {
        value,
        key: Some(ElementKey::Index(index)),
    });
    let members = of.as_object().into_iter().flatten();
    items.chain(members.map(|(name, value)| Found {
        value,
        key: Some(ElementKey::Name(name)),
    }))
}

fn item(items: &[Value], index: usize) -> Option<Found<'_>> {
    let value = items.get(index)?;
    let key = Some(ElementKey::Index(index));
    Some(Found { value, key })
}

/// The position of an index. A negative index counts from the end.
fn position(length: usize, index: i64) -> Option<usize> {
    match index {
        ..0 => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
        _ => usize::try_from(index).ok(),
    }
}

/// The positions of a slice, as RFC 9535 defines them in 2.3.4.2.2.
fn slice(length: usize, bounds: [Option<i64>; 2], step: i64) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let [start, end] = bounds;
    let normal = |at: i64| match at {
        ..0 => length.saturating_add(at),
        _ => at,
    };
    let (mut at, until) = match step {
        0.. => (
            normal(start.unwrap_or(0)).clamp(0, length),
            normal(end.unwrap_or(length)).clamp(0, length),
        ),
        _ => (
            normal(start.unwrap_or(length - 1)).clamp(-1, length - 1),
            end.map_or(-1, |end| normal(end).clamp(-1, length - 1)),
        ),
    };
    std::iter::from_fn(move || {
        let is_within = match step {
            1.. => at < until,
            0 => false,
            ..0 => at > until,
        };
        let this = usize::try_from(at).ok().filter(|_| is_within)?;
        at = at.saturating_add(step);
        Some(this)
    })
}

/// Compares numbers, exactly for integers. None if one of the values is not a number.
fn number_order(left: &Value, right: &Value) -> Option<std::cmp::Ordering> {
    let integer = |value: &Value| {
        let unsigned = value.as_u64().map(i128::from);
        unsigned.or_else(|| value.as_i64().map(i128::from))
    };
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

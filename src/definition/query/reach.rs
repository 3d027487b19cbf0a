//! The keys that a query reads directly below the document.

use super::{Filter, Nodes, Operand, Pattern, Segment, Selector};

/// The names directly below the document under which these segments read. None if they read the
/// whole document.
pub(super) fn root_keys(segments: &[Segment]) -> Option<Vec<&str>> {
    let mut keys = Vec::new();
    let looks_at_some = of_root(segments, &mut keys);
    looks_at_some.then_some(keys)
}

/// Adds the names. Returns false if the whole document is read.
fn of_root<'q>(segments: &'q [Segment], keys: &mut Vec<&'q str>) -> bool {
    let Some(first) = segments.first().filter(|first| !first.descends) else {
        return false;
    };
    for selector in &first.selectors {
        match selector {
            Selector::Name(name) => keys.push(name),
            Selector::Wildcard
            | Selector::Index(_)
            | Selector::Slice { .. }
            | Selector::Filter(_) => return false,
        }
    }
    of_filters(segments, keys)
}

/// Adds the names from the filters of these segments. A `$` in a filter is the document as well.
fn of_filters<'q>(segments: &'q [Segment], keys: &mut Vec<&'q str>) -> bool {
    let mut selectors = segments.iter().flat_map(|segment| &segment.selectors);
    selectors.all(|selector| match selector {
        Selector::Filter(filter) => of_filter(filter, keys),
        _ => true,
    })
}

fn of_filter<'q>(filter: &'q Filter, keys: &mut Vec<&'q str>) -> bool {
    match filter {
        Filter::Any(all) | Filter::All(all) => all.iter().all(|one| of_filter(one, keys)),
        Filter::Not(inner) => of_filter(inner, keys),
        Filter::Exists(nodes) => of_nodes(nodes, keys),
        Filter::Compare(left, _, right) | Filter::Lists(left, _, right) => {
            of_operand(left, keys) && of_operand(right, keys)
        }
        Filter::Matches(text, pattern) => {
            let of_pattern = |keys: &mut Vec<&'q str>| match pattern {
                Pattern::Known(_) => true,
                Pattern::Dynamic { of, .. } => of_operand(of, keys),
            };
            of_operand(text, keys) && of_pattern(keys)
        }
        Filter::Never => true,
    }
}

fn of_operand<'q>(operand: &'q Operand, keys: &mut Vec<&'q str>) -> bool {
    match operand {
        Operand::Value(nodes) | Operand::Count(nodes) => of_nodes(nodes, keys),
        Operand::Length(of) => of_operand(of, keys),
        Operand::Truth(filter) => of_filter(filter, keys),
        Operand::Literal(_) | Operand::Nothing => true,
    }
}

fn of_nodes<'q>(nodes: &'q Nodes, keys: &mut Vec<&'q str>) -> bool {
    match nodes.from_root {
        true => of_root(&nodes.segments, keys),
        false => of_filters(&nodes.segments, keys),
    }
}

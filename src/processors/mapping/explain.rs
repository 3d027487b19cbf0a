//! Explains why a path found nothing.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    definition::{
        AttributeSource, Definition, Elements, Hit, Level, MappingRule, Origin, Path,
        RequestElement, Steps, ValueSource, listed_keys,
    },
    pipeline::{Document, Poll, Problem, ProblemReason},
};

/// Why a path found nothing in the bodies of `poll`, with the nearest key that exists; none if the
/// problem is another one, or it takes too many steps to find out.
pub fn explain(definition: &Definition, poll: &Poll, problem: &Problem) -> Option<String> {
    if problem.reason != ProblemReason::Missing {
        return None;
    }
    let Some(rule) = definition.rules.get(problem.rule) else {
        let rule = definition.start.as_ref()?;
        let body = poll.endpoints.get(rule.endpoint)?.body()?;
        let (document, steps) = (body.document()?, Steps::for_document(body.size));
        return rule.path.hint(&document, &steps);
    };
    let body = poll.endpoints.get(rule.endpoint)?.body()?;
    if body.has_parts() {
        let mut hint = None;
        body.for_each_part(|part| {
            if hint.is_none() {
                hint = why_missing(rule, part, &problem.detail);
            }
        });
        return hint;
    }
    let document = body.document()?;
    why_missing(rule, &Document::only(&document, body.size), &problem.detail)
}

/// Why the path `text` of a rule found nothing in `document`; none if it is not a path of the rule,
/// or finds something everywhere.
fn why_missing(rule: &MappingRule, document: &Document<'_>, text: &str) -> Option<String> {
    let mut search = Search {
        rule,
        document: document.value,
        requested_for: document.element,
        text,
        steps: &Steps::for_document(document.text_bytes),
        elements: Vec::new(),
    };
    search.level(document.value)
}

/// Looks for the place at which a path finds nothing.
struct Search<'s> {
    rule: &'s MappingRule,
    document: &'s Value,
    /// The element that the request was made for.
    requested_for: Option<&'s RequestElement>,
    /// What the problem says of the path.
    text: &'s str,
    steps: &'s Steps,
    elements: Vec<Hit<'s>>,
}

impl<'s> Search<'s> {
    fn level(&mut self, parent: &'s Value) -> Option<String> {
        let rule = self.rule;
        let Some(level) = rule.levels.get(self.elements.len()) else {
            return self.element(parent);
        };
        let path = &level.path;
        let found = path.elements(parent, rule.max_series, self.steps);
        let Elements { hits, total } = found.ok()?;
        if path.text() == self.text && total == 0 {
            return path.hint(parent, self.steps);
        }
        let is_about_keys = |rest: &str| rest.starts_with(": no key matches");
        if self
            .text
            .strip_prefix(path.text())
            .is_some_and(is_about_keys)
        {
            return Some(format!(
                "there are {}",
                listed_keys(hits.iter().filter_map(key))
            ));
        }
        for hit in hits.into_iter().filter(|hit| is_wanted(level, hit)) {
            self.elements.push(hit);
            let found = self.level(hit.value);
            self.elements.pop();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn element(&self, element: &'s Value) -> Option<String> {
        let rule = self.rule;
        let of_attributes = rule.attributes.iter().filter_map(|of| match &of.source {
            AttributeSource::Path { origin, path } => Some((path, self.origin(*origin))),
            AttributeSource::Literal(_)
            | AttributeSource::Key { .. }
            | AttributeSource::RequestKey => None,
        });
        let value = rule.value.path().map(|path| (path, element));
        let time = rule
            .time
            .as_ref()
            .map(|of| (&of.path, self.origin(of.origin)));
        let buckets = self.buckets(element);
        let mut all = value
            .into_iter()
            .chain(of_attributes)
            .chain(time)
            .chain(buckets);
        let (path, within) = all.find(|(path, within)| {
            let is_missing = || matches!(path.one(within, self.steps), Ok(None));
            path.text() == self.text && is_missing()
        })?;
        let hint = path.hint(within, self.steps)?;
        match rule.levels.last() {
            Some(level) if is_in_members(path, within, self.steps) => Some(format!(
                "{hint} its members have it; to select all members, add `[*]`: `for_each: {}[*]`",
                level.path.text()
            )),
            _ => Some(hint),
        }
    }

    /// The paths of a histogram that the body holds, each with what it begins at.
    fn buckets(&self, element: &'s Value) -> Vec<(&'s Path, &'s Value)> {
        let ValueSource::Buckets(buckets) = &self.rule.value else {
            return Vec::new();
        };
        let found = buckets.path.elements(element, 1, self.steps);
        let found = found.unwrap_or_default();
        let first = found.hits.first().map(|hit| hit.value);
        let of_bucket = buckets.upper_bound.iter().chain([&buckets.count]);
        let of_bucket = of_bucket.filter_map(|path| Some((path, first?)));
        let sum = buckets.sum.iter().map(|path| (path, element));
        of_bucket.chain(sum).collect()
    }

    fn origin(&self, origin: Origin) -> &'s Value {
        match origin {
            Origin::Document => self.document,
            Origin::Request => self.requested_for.map_or(self.document, |of| &of.value),
            Origin::Level(level) => {
                let element = self.elements.get(level);
                element.map_or(self.document, |hit| hit.value)
            }
        }
    }
}

fn is_wanted(level: &Level, hit: &Hit<'_>) -> bool {
    let keys = level.keys.as_ref();
    keys.is_none_or(|keys| key(hit).is_some_and(|key| keys.matches(&key)))
}

fn key<'a>(hit: &Hit<'a>) -> Option<Cow<'a, str>> {
    hit.key.map(|key| key.text())
}

/// Whether the path finds something below the members of `element`.
fn is_in_members(path: &Path, element: &Value, steps: &Steps) -> bool {
    let finds = |inner: &Value| matches!(path.one(inner, steps), Ok(Some(_)));
    match element {
        Value::Object(members) => members.values().any(finds),
        Value::Array(items) => items.iter().any(finds),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::from_text;

    fn why(metric: &str, text: &str, document: &Value) -> Option<String> {
        let yaml = format!(
            "endpoints: {{e: {{path: /}}}}\nmetrics: [{{name: m, instrument: gauge, {metric}}}]\n"
        );
        let definition = from_text("test", "test.yaml", &yaml).unwrap();
        why_missing(&definition.rules[0], &Document::only(document, 0), text)
    }

    #[test]
    fn every_path_of_a_rule_has_a_hint() {
        let metric = "for_each: $.nodes, value: $.load, attributes: {id: $.name}";
        let nodes = json!({"nodes": [{"name": "a", "load": 1}, {"nam": "b", "laod": 1}]});
        let of = |text| why(metric, text, &nodes);
        let expected = |text: &str| Some(text.to_owned());
        assert_eq!(of("$.load"), expected("no `load`; did you mean `laod`?"));
        assert_eq!(of("$.name"), expected("no `name`; did you mean `nam`?"));
        assert_eq!(of("$.other"), None);
        let renamed = json!({"node": []});
        let hint = why(metric, "$.nodes", &renamed);
        assert_eq!(hint, expected("no `nodes`; did you mean `node`?"));
    }

    #[test]
    fn a_key_of_the_members_needs_a_wildcard() {
        let document = json!({"values": [{"a": {"n": 1}, "b": {"n": 2}}]});
        let hint = why("for_each: '$.values[0]', value: $.n", "$.n", &document).unwrap();
        assert!(
            hint.ends_with("add `[*]`: `for_each: $.values[0][*]`"),
            "{hint}"
        );
    }
}

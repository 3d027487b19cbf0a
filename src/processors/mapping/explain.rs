//! Explains why a path found nothing.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    definition::{
        AttributeSource, Definition, Elements, Hit, Level, MappingRule, Origin, Path, Steps,
    },
    pipeline::{Poll, Problem, ProblemReason},
    yaml::nearest,
};

/// The number of keys to list if none is near.
const KEYS_MAX: usize = 8;

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
        return hint(&rule.path, &document, &steps);
    };
    let body = poll.endpoints.get(rule.endpoint)?.body()?;
    let (document, steps) = (body.document()?, Steps::for_document(body.size));
    why_missing(rule, &document, &problem.detail, &steps)
}

/// Why the path `text` of a rule found nothing in `document`; none if it is not a path of the rule,
/// or finds something everywhere.
fn why_missing(rule: &MappingRule, document: &Value, text: &str, steps: &Steps) -> Option<String> {
    let mut search = Search {
        rule,
        document,
        text,
        steps,
        elements: Vec::new(),
    };
    search.level(document)
}

/// Looks for the place at which a path finds nothing.
struct Search<'s> {
    rule: &'s MappingRule,
    document: &'s Value,
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
            return hint(path, parent, self.steps);
        }
        let is_about_keys = |rest: &str| rest.starts_with(": no key matches");
        if self
            .text
            .strip_prefix(path.text())
            .is_some_and(is_about_keys)
        {
            return Some(format!("there are {}", listed(hits.iter().filter_map(key))));
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
            AttributeSource::Literal(_) | AttributeSource::Key { .. } => None,
        });
        let value = rule.value.path().map(|path| (path, element));
        let mut all = value.into_iter().chain(of_attributes);
        let (path, within) = all.find(|(path, within)| {
            let is_missing = || matches!(path.one(within, self.steps), Ok(None));
            path.text() == self.text && is_missing()
        })?;
        let hint = hint(path, within, self.steps)?;
        match rule.levels.last() {
            Some(level) if is_in_members(path, within, self.steps) => Some(format!(
                "{hint} its members have it; to select all members, add `[*]`: `for_each: {}[*]`",
                level.path.text()
            )),
            _ => Some(hint),
        }
    }

    fn origin(&self, origin: Origin) -> &'s Value {
        match origin {
            Origin::Document => self.document,
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

/// Some of these, and whether there are more.
fn listed<'a>(keys: impl Iterator<Item = Cow<'a, str>>) -> String {
    let mut keys = keys.peekable();
    let some: Vec<_> = keys.by_ref().take(KEYS_MAX).collect();
    let more = if keys.peek().is_some() { ", …" } else { "" };
    format!("{}{more}", some.join(", "))
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

/// What `document` has at the place where `path` ends.
fn hint(path: &Path, document: &Value, steps: &Steps) -> Option<String> {
    let mut parent = document;
    for (prefix, segment) in path.prefixes() {
        parent = match prefix.first(document, steps).ok()? {
            Some(found) => found,
            None => {
                return Some(match segment.keys().as_deref() {
                    Some([key]) => absent(key, parent),
                    _ => chosen_none(&segment, parent),
                });
            }
        };
    }
    let found = path.one(document, steps);
    matches!(found, Ok(None)).then(|| "it is null".to_owned())
}

/// The message for a wildcard, a slice or a filter that selected nothing.
fn chosen_none(segment: &Path, parent: &Value) -> String {
    let segment = segment.text().trim_start_matches('$');
    match parent {
        Value::Array(items) => format!("`{segment}` finds none in an array of {}", items.len()),
        Value::Object(members) => {
            format!("`{segment}` finds none in an object of {}", members.len())
        }
        Value::Null => format!("`{segment}` of null"),
        _ => format!("`{segment}` of a scalar"),
    }
}

fn absent(key: &str, parent: &Value) -> String {
    match parent {
        Value::Object(members) => {
            let keys: Vec<_> = members.keys().map(String::as_str).collect();
            match nearest(key, &keys) {
                Some(near) => format!("no `{key}`; did you mean `{near}`?"),
                None if keys.is_empty() => format!("no `{key}` in an empty object"),
                None => {
                    let listed = listed(keys.into_iter().map(Cow::from));
                    format!("no `{key}`; there are {listed}")
                }
            }
        }
        Value::Array(items) => format!("no `{key}` in an array of {}", items.len()),
        Value::Null => format!("no `{key}` in null"),
        _ => format!("no `{key}` in a scalar"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::from_text;

    #[test]
    fn the_hint_names_the_nearest_key() {
        let document = json!({
            "packets": {"dropped": null, "processed": 1},
            "list": [1],
            "jobs": [{"state": "on", "tags": []}],
        });
        for (path, expected) in [
            ("$.packets.droped", "no `droped`; did you mean `dropped`?"),
            ("$.packets.dropped", "it is null"),
            ("$.bytes", "no `bytes`; there are jobs, list, packets"),
            ("$.list[3]", "no `3` in an array of 1"),
            ("$.packets.processed.x", "no `x` in a scalar"),
            ("$.packets.dropped.x", "no `x` in null"),
            ("$.lists[*]", "no `lists`; did you mean `list`?"),
            ("$.jobs[*].stat", "no `stat`; did you mean `state`?"),
            (
                "$.jobs[?@.state == 'off']",
                "`[?@.state == 'off']` finds none in an array of 1",
            ),
            ("$.jobs[*].tags[*]", "`[*]` finds none in an array of 0"),
            ("$.list[0][*]", "`[*]` of a scalar"),
        ] {
            let parsed = Path::parse(path).unwrap();
            assert_eq!(
                hint(&parsed, &document, &Steps::for_document(0)).as_deref(),
                Some(expected),
                "{path}"
            );
        }
    }

    fn why(metric: &str, text: &str, document: &Value) -> Option<String> {
        let yaml = format!(
            "endpoints: {{e: {{path: /}}}}\nmetrics: [{{name: m, instrument: gauge, {metric}}}]\n"
        );
        let definition = from_text("test", "test.yaml", &yaml).unwrap();
        let steps = Steps::for_document(0);
        why_missing(&definition.rules[0], document, text, &steps)
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

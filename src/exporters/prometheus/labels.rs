//! The labels of a series: first those of the target, then the attributes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    ops::Range,
    sync::{Arc, Mutex},
};

use opentelemetry::{InstrumentationScope, Key, Value};
use opentelemetry_sdk::Resource;

use super::{
    escape, lock,
    rules::{RenderingRules, TranslationStrategy},
    text,
};
use crate::pipeline::Target;

/// The label with the name of the target. Prometheus itself sets `job` and `instance`.
const TARGET: &str = "target";
/// The prefix that the Prometheus compatibility specification gives to the properties of a scope.
const SCOPE: &str = "otel_scope_";
/// The label of a bucket's upper bound.
const LE: &str = "le";
/// The prefix that Prometheus gives to a scraped label whose name is taken.
const EXPORTED: &str = "exported_";

/// Rendered labels that several series share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RenderedLabels {
    strategy: TranslationStrategy,
    taken: Vec<String>,
    text: String,
}

/// The labels of one target's series.
#[derive(Debug)]
pub(super) struct TargetLabels {
    /// Name and constant labels, which identify the target.
    pub(super) info: Arc<RenderedLabels>,
    /// These labels and the configured ones, which all series have.
    all: Arc<RenderedLabels>,
    /// Whether the name of one of them needs UTF-8 quoting.
    is_odd: bool,
    /// The labels of all series with those of the Resource and the scope, by scope, for the last
    /// Resource.
    scopes: Mutex<Option<(Resource, Scopes)>>,
}

type Scopes = Vec<(InstrumentationScope, Arc<RenderedLabels>)>;

impl TargetLabels {
    pub(super) fn new(target: &Target, rules: &RenderingRules) -> Self {
        let mut info = RenderedLabels {
            strategy: rules.strategy,
            taken: vec![TARGET.to_owned()],
            text: String::new(),
        };
        text::label(&mut info.text, TARGET, &target.name);
        let info = Arc::new(info.and(borrowed(&rules.const_labels)));
        let all = match target.labels.is_empty() {
            true => Arc::clone(&info),
            false => Arc::new(RenderedLabels::clone(&info).and(borrowed(&target.labels))),
        };
        Self {
            is_odd: escape::has_quoted_label(&all.text),
            all,
            info,
            scopes: Mutex::default(),
        }
    }

    /// The labels of all series, as text.
    pub(super) fn text(&self) -> &str {
        &self.all.text
    }

    /// Whether the name of one of them needs UTF-8 quoting.
    pub(super) fn is_odd(&self) -> bool {
        self.is_odd
    }

    /// Whether the name and the labels of both targets are the same.
    pub(super) fn are_like(&self, other: &Self) -> bool {
        self.all == other.all
    }

    /// The labels of a scope's series.
    pub(super) fn of(
        &self,
        rules: &RenderingRules,
        target: &Target,
        (resource, scope): (&Resource, &InstrumentationScope),
    ) -> Arc<RenderedLabels> {
        if !rules.add_labels() {
            return Arc::clone(&self.all);
        }
        let mut known = lock(&self.scopes);
        known.take_if(|(of, _)| of != resource);
        let (_, scopes) = known.get_or_insert_with(|| (resource.clone(), Vec::new()));
        if let Some((_, labels)) = scopes.iter().find(|(of, _)| of == scope) {
            return Arc::clone(labels);
        }
        let labels = Arc::new(self.with(rules, target, (resource, scope)));
        scopes.push((scope.clone(), Arc::clone(&labels)));
        labels
    }

    /// The labels of all series with those of the Resource and the scope.
    fn with(
        &self,
        rules: &RenderingRules,
        target: &Target,
        (resource, scope): (&Resource, &InstrumentationScope),
    ) -> RenderedLabels {
        let pairs = resource
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .filter(|(key, _)| rules.resource.has(key))
            // The target's configured labels are in its Resource too.
            .filter(|(key, value)| target.labels.get(*key).map(String::as_str) != Some(value));
        let labels = RenderedLabels::clone(&self.all).and(pairs);
        match rules.has_scope {
            true => with_scope(labels, scope),
            false => labels,
        }
    }
}

fn with_scope(labels: RenderedLabels, scope: &InstrumentationScope) -> RenderedLabels {
    let named = [
        ("name", Some(scope.name())),
        ("version", scope.version()),
        ("schema_url", scope.schema_url()),
    ];
    let named = named.into_iter().filter_map(|(key, value)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some((format!("{SCOPE}{key}"), Cow::Borrowed(value)))
    });
    let attributes = scope.attributes();
    let attributes = attributes.map(|of| (format!("{SCOPE}{}", of.key), of.value.as_str()));
    let pairs: Vec<_> = named.chain(attributes).collect();
    let pairs = pairs.iter();
    labels.and(pairs.map(|(key, value)| (key.as_str(), Cow::Borrowed(&**value))))
}

impl RenderedLabels {
    /// Adds labels. A label whose name is taken gets another name.
    pub(super) fn and<'a>(mut self, pairs: impl Iterator<Item = (&'a str, Cow<'a, str>)>) -> Self {
        for (name, value) in self.resolve(pairs, true) {
            text::label(&mut self.text, &name, &value);
            self.taken.push(name);
        }
        self
    }

    /// The labels without their first `common` bytes.
    fn after(&self, common: usize) -> &str {
        let own = self.text.get(common..).unwrap_or_default();
        own.strip_prefix(',').filter(|_| common > 0).unwrap_or(own)
    }

    /// Writes the labels of one series without the first `common` bytes, which all series of the
    /// target have. `buckets` says that `le` is taken too.
    pub(super) fn write<'a, I: Iterator<Item = (&'a Key, &'a Value)>>(
        &self,
        out: &mut String,
        common: usize,
        attributes: impl Fn() -> I,
        buckets: bool,
    ) {
        out.clear();
        out.push_str(self.after(common));
        let start = out.len();
        if !self.write_usual(out, attributes(), buckets) {
            out.truncate(start);
            let pairs = attributes().map(|(key, value)| (key.as_str(), value.as_str()));
            for (name, value) in self.resolve(pairs, buckets) {
                text::label(out, &name, &value);
            }
        }
    }

    /// Writes the result of [`Self::resolve`] directly in the usual case: plain names in their
    /// order, none of them taken. Returns false in any other case; then the written text is not
    /// valid.
    fn write_usual<'a>(
        &self,
        out: &mut String,
        attributes: impl Iterator<Item = (&'a Key, &'a Value)>,
        buckets: bool,
    ) -> bool {
        let mut last = 0..0;
        for (key, value) in attributes {
            if !out.is_empty() {
                out.push(',');
            }
            let from = out.len();
            if !self.strategy.push_label(out, key.as_str()) {
                return false;
            }
            let name = from..out.len();
            let text = |range: &Range<usize>| out.get(range.clone()).unwrap_or_default();
            if text(&last) >= text(&name) || self.is_taken(text(&name), buckets) {
                return false;
            }
            text::value(out, &value.as_str());
            last = name;
        }
        true
    }

    fn is_taken(&self, name: &str, buckets: bool) -> bool {
        // A histogram would have `le` twice.
        self.taken.iter().any(|taken| taken == name) || (buckets && name == LE)
    }

    /// Makes the names valid and unused. Keys with the same name after that share one label, with
    /// their values joined in the order of the keys.
    fn resolve<'a>(
        &self,
        pairs: impl Iterator<Item = (&'a str, Cow<'a, str>)>,
        buckets: bool,
    ) -> BTreeMap<String, Cow<'a, str>> {
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable();
        let mut labels = BTreeMap::new();
        for (key, value) in pairs {
            let mut name = self.strategy.label(key);
            while self.is_taken(&name, buckets) {
                name.insert_str(0, EXPORTED);
            }
            match labels.entry(name) {
                Entry::Vacant(free) => {
                    free.insert(value);
                }
                Entry::Occupied(mut shared) => {
                    let joined = shared.get_mut().to_mut();
                    joined.push(';');
                    joined.push_str(&value);
                }
            }
        }
        labels
    }
}

fn borrowed(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let pairs = labels.iter();
    pairs.map(|(key, value)| (key.as_str(), Cow::from(value)))
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;
    use proptest::prelude::*;

    use super::*;

    /// Generates common keys in any order, with more repetitions than by chance, and any text.
    fn key() -> impl Strategy<Value = String> {
        let usual =
            prop::sample::select(vec!["a", "a.b", "a_b", "b", "le", "target", "url.template"]);
        prop_oneof![usual.prop_map(str::to_owned), "[_a1.:]{0,3}", ".*"]
    }

    fn strategy() -> impl Strategy<Value = TranslationStrategy> {
        prop::sample::select(vec![
            TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
            TranslationStrategy::NoTranslation,
        ])
    }

    proptest! {
        #[test]
        fn the_fast_path_gives_the_same_labels(
            strategy in strategy(),
            common in prop::collection::btree_map(key(), ".*", 0..3),
            pairs in prop::collection::vec((key(), ".*"), 0..4),
            buckets: bool,
        ) {
            let labels = RenderedLabels { strategy, ..RenderedLabels::default() }.and(borrowed(&common));
            let of: Vec<_> = pairs.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
            let mut written = String::new();
            labels.write(&mut written, 0, || of.iter().map(|of| (&of.key, &of.value)), buckets);
            let mut resolved = labels.text.clone();
            let pairs = of.iter().map(|of| (of.key.as_str(), of.value.as_str()));
            for (name, value) in labels.resolve(pairs, buckets) {
                text::label(&mut resolved, &name, &value);
            }
            prop_assert_eq!(written, resolved);
        }
    }

    #[test]
    fn usual_labels_take_the_fast_path() {
        let of = [
            ("error.type", "dns"),
            ("le", "1"),
            ("url.template", "/a\"b"),
        ];
        let of = of.map(|(key, value)| KeyValue::new(key, value));
        let usual = |of: &[KeyValue], buckets| {
            let mut out = String::new();
            let pairs = of.iter().map(|of| (&of.key, &of.value));
            let is_usual = RenderedLabels::default().write_usual(&mut out, pairs, buckets);
            is_usual.then_some(out)
        };
        let expected = r#"error_type="dns",le="1",url_template="/a\"b""#;
        assert_eq!(usual(&of, false).as_deref(), Some(expected));
        assert_eq!(usual(&of, true), None);
        assert_eq!(usual(&[of[1].clone(), of[0].clone()], false), None);
    }
}

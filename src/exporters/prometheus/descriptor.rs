//! The names and headers of metrics in a scrape, computed once and shared by all targets.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use super::{
    escape::Escaping,
    name::{self, AggregationKind},
    rules::RenderingRules,
};

/// The number of unused descriptors that are kept.
const UNUSED_MAX: usize = 256;

/// A metric as its instrument describes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct DescribedMetric<'a> {
    pub(super) name: &'a str,
    /// The unit in UCUM.
    pub(super) unit: &'a str,
    pub(super) help: &'a str,
    pub(super) kind: AggregationKind,
}

/// The name of a family, and the lines above its samples.
#[derive(Debug)]
pub(super) struct FamilyDescriptor {
    pub(super) name: String,
    /// The name for scrapers that know only the older characters.
    pub(super) key: String,
    pub(super) kind: AggregationKind,
    /// The unit as a word in names.
    pub(super) unit: String,
    pub(super) help: String,
    /// Whether lines can have the start time of totals.
    pub(super) has_created: bool,
    /// The unit in UCUM.
    metric_unit: String,
}

impl FamilyDescriptor {
    /// The descriptor of a family with this name.
    pub(super) fn new(name: String, of: DescribedMetric<'_>) -> Self {
        let has_created = match of.kind {
            AggregationKind::Histogram => true,
            // The counter has a name in OpenMetrics.
            AggregationKind::Counter => of.kind.open_name(&name).is_some(),
            AggregationKind::Info | AggregationKind::UpDownCounter | AggregationKind::Gauge => {
                false
            }
        };
        Self {
            key: Escaping::Underscores.name(&name).into_owned(),
            kind: of.kind,
            unit: name::unit(of.unit),
            help: of.help.to_owned(),
            has_created,
            metric_unit: of.unit.to_owned(),
            name,
        }
    }

    /// Whether samples with both descriptors belong to one family.
    pub(super) fn is_of_family(&self, other: &Self) -> bool {
        self.name == other.name && self.kind.word() == other.kind.word()
    }

    /// Orders descriptors so that those of one family are next to each other.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        (&self.name, self.kind).cmp(&(&other.name, other.kind))
    }

    fn is_of(&self, metric: &DescribedMetric<'_>) -> bool {
        self.kind == metric.kind && self.metric_unit == metric.unit && self.help == metric.help
    }
}

/// The descriptors of all metrics, by the names of their instruments.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    by_metric: HashMap<String, Vec<Arc<FamilyDescriptor>>>,
    /// The current number of descriptors, and the number after the last search for unused ones.
    count: usize,
    kept: usize,
}

impl Catalogue {
    /// The descriptor of the metric under `rules`, which never change.
    pub(super) fn describe(
        &mut self,
        metric: DescribedMetric<'_>,
        rules: &RenderingRules,
    ) -> Arc<FamilyDescriptor> {
        let known = self.by_metric.get(metric.name);
        let known = known.and_then(|all| all.iter().find(|of| of.is_of(&metric)));
        if let Some(known) = known {
            return Arc::clone(known);
        }
        if self.count >= 2 * self.kept + UNUSED_MAX {
            self.sweep();
        }
        let name = rules.family(metric.name, metric.unit, metric.kind);
        let new = Arc::new(FamilyDescriptor::new(name, metric));
        let all = self.by_metric.entry(metric.name.to_owned()).or_default();
        all.push(Arc::clone(&new));
        self.count += 1;
        new
    }

    /// Removes unused descriptors.
    fn sweep(&mut self) {
        self.by_metric.retain(|_, all| {
            all.retain(|descriptor| Arc::strong_count(descriptor) > 1);
            !all.is_empty()
        });
        self.count = self.by_metric.values().map(Vec::len).sum();
        self.kept = self.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(name: &str) -> DescribedMetric<'_> {
        DescribedMetric {
            name,
            unit: "s",
            help: "",
            kind: AggregationKind::Gauge,
        }
    }

    #[test]
    fn metrics_with_the_same_description_share_a_descriptor() {
        let (mut catalogue, rules) = (Catalogue::default(), RenderingRules::default());
        let first = catalogue.describe(gauge("a"), &rules);
        assert!(Arc::ptr_eq(&first, &catalogue.describe(gauge("a"), &rules)));
        let others = [
            DescribedMetric {
                unit: "1",
                ..gauge("a")
            },
            DescribedMetric {
                help: "b",
                ..gauge("a")
            },
            DescribedMetric {
                kind: AggregationKind::Counter,
                ..gauge("a")
            },
            gauge("b"),
        ];
        for other in others {
            assert!(!Arc::ptr_eq(&first, &catalogue.describe(other, &rules)));
        }
    }

    #[test]
    fn only_a_few_unused_descriptors_are_kept() {
        let (mut catalogue, rules) = (Catalogue::default(), RenderingRules::default());
        let shown: Vec<_> = (0..10)
            .map(|number| catalogue.describe(gauge(&format!("shown_{number}")), &rules))
            .collect();
        for number in 0..10_000 {
            drop(catalogue.describe(gauge(&format!("gone_{number}")), &rules));
        }
        assert!(catalogue.count <= 2 * shown.len() + UNUSED_MAX);
        for (number, shown) in shown.iter().enumerate() {
            let name = format!("shown_{number}");
            let again = catalogue.describe(gauge(&name), &rules);
            assert!(Arc::ptr_eq(shown, &again));
        }
    }
}

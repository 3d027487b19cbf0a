//! The collector's own counters and gauges as numbers, for those who show them to people.

use prometheus::proto::{MetricFamily, MetricType};

use super::names::Metric;

/// All counters and gauges at one moment.
#[derive(Debug, Clone, Default)]
pub struct OwnFigures(Vec<Figure>);

/// One series.
#[derive(Debug, Clone)]
struct Figure {
    metric: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl OwnFigures {
    pub(super) fn of(families: &[MetricFamily]) -> Self {
        let mut figures = Vec::new();
        for family in families {
            for metric in family.get_metric() {
                let value = match family.get_field_type() {
                    MetricType::COUNTER => metric.get_counter().get_value(),
                    MetricType::GAUGE => metric.get_gauge().get_value(),
                    _ => continue,
                };
                let labels = metric.get_label().iter();
                let labels = labels.map(|label| (label.name().into(), label.value().into()));
                figures.push(Figure {
                    metric: family.name().to_owned(),
                    labels: labels.collect(),
                    value,
                });
            }
        }
        Self(figures)
    }

    /// The sum of the series of a metric whose attribute has this value; none if there is none.
    pub fn sum(&self, metric: &Metric, attribute: &str, value: &str) -> Option<f64> {
        let label = attribute.replace('.', "_");
        let mut found = self.series(metric).filter(|figure| {
            let mut labels = figure.labels.iter();
            labels.any(|(name, is)| *name == label && is == value)
        });
        let first = found.next()?.value;
        Some(found.fold(first, |sum, figure| sum + figure.value))
    }

    /// The sums of a metric for one component, by another attribute.
    pub fn by(&self, metric: &Metric, component: [&str; 2], attribute: &str) -> Vec<(String, f64)> {
        let label = attribute.replace('.', "_");
        let [key, id] = component;
        let of_component = self.series(metric).filter(|figure| {
            let mut labels = figure.labels.iter();
            labels.any(|(name, value)| name == key && value == id)
        });
        let named = of_component.filter_map(|figure| {
            let (_, value) = figure.labels.iter().find(|(name, _)| *name == label)?;
            Some((value.clone(), figure.value))
        });
        named.collect()
    }

    /// Only the series of these metrics.
    #[must_use]
    pub fn only(&self, metrics: &[&Metric]) -> Self {
        let kept = metrics.iter().flat_map(|metric| self.series(metric));
        Self(kept.cloned().collect())
    }

    fn series(&self, metric: &Metric) -> impl Iterator<Item = &Figure> {
        let name = metric.name.replace('.', "_");
        self.0.iter().filter(move |figure| figure.metric == name)
    }
}

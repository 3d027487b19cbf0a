//! A histogram that a body holds.

use std::sync::Arc;

use serde_json::Value;

use super::{
    ElementProblem,
    elements::Walk,
    value::{self, ValueProblem},
};
use crate::{
    definition::{Buckets, Hit, Number, NumberFormat, Path},
    pipeline::{HistogramValue, ProblemReason, Reading},
    processors::number,
};

/// The most buckets of one histogram.
const BUCKETS_MAX: usize = 500;

impl Walk<'_, '_> {
    /// Reads the histogram of one element.
    pub(super) fn histogram(
        &mut self,
        rule: &Buckets,
        element: &Value,
    ) -> Result<(), ElementProblem> {
        let path = &rule.path;
        let found = path.elements(element, BUCKETS_MAX, self.steps);
        let found = found.map_err(|error| ElementProblem::too_many_steps(path, error))?;
        let range = |why: String| {
            ElementProblem::new(ProblemReason::Range, format!("{}: {why}", path.text()))
        };
        if found.total > BUCKETS_MAX {
            let why = format!("{} buckets, {BUCKETS_MAX} allowed", found.total);
            return Err(range(why));
        }
        if found.total == 0 {
            return Err(ElementProblem::new(ProblemReason::Missing, path.text()));
        }
        let mut buckets = Vec::with_capacity(found.hits.len());
        for bucket in &found.hits {
            buckets.push((
                self.bound(rule, bucket)?,
                self.bucket_count(&rule.count, bucket)?,
            ));
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (bounds, counts) = separate(&buckets, rule.cumulative).map_err(range)?;
        let sum = match &rule.sum {
            Some(path) => Some(self.scaled(self.number(path, element)?).as_f64()),
            None => None,
        };
        let histogram = HistogramValue {
            bounds,
            counts,
            sum,
        };
        let reading = Reading {
            instrument: self.rule.instrument,
            attributes: self.attributes()?,
            value: Number::Unsigned(histogram.count()),
            time: None,
            histogram: Some(Arc::new(histogram)),
        };
        self.mapper.push(reading)
    }

    fn bound(&self, rule: &Buckets, bucket: &Hit<'_>) -> Result<f64, ElementProblem> {
        let key = || {
            let missing = || ElementProblem::new(ProblemReason::Missing, "@key");
            bucket.key.map(|key| key.text()).ok_or_else(missing)
        };
        let (name, found) = match &rule.upper_bound {
            Some(path) => {
                let found = self.find_one(path, bucket.value)?;
                (path.text(), found.clone())
            }
            None => ("@key", Value::String(key()?.into_owned())),
        };
        let is_infinite = found.as_str().is_some_and(|text| {
            let text = text.trim().trim_start_matches('+').to_ascii_lowercase();
            text == "inf" || text == "infinity"
        });
        if is_infinite {
            return Ok(f64::INFINITY);
        }
        let bound = read(&found)
            .map_err(|(reason, why)| ElementProblem::new(reason, format!("{name}: {why}")))?;
        Ok(self.scaled(bound).as_f64())
    }

    fn bucket_count(&self, path: &Path, bucket: &Hit<'_>) -> Result<u64, ElementProblem> {
        match self.number(path, bucket.value)?.integral() {
            Number::Unsigned(count) => Ok(count),
            _ => {
                let detail = format!("{}: a bucket counts whole numbers", path.text());
                Err(ElementProblem::new(ProblemReason::Range, detail))
            }
        }
    }

    fn number(&self, path: &Path, within: &Value) -> Result<Number, ElementProblem> {
        let found = self.find_one(path, within)?;
        read(found)
            .map_err(|(reason, why)| ElementProblem::new(reason, format!("{}: {why}", path.text())))
    }

    fn scaled(&self, number: Number) -> Number {
        match self.rule.format.scale {
            Some(factor) => number::scaled(number, factor),
            None => number,
        }
    }
}

fn read(found: &Value) -> Result<Number, (ProblemReason, String)> {
    value::read(&NumberFormat::default(), found).map_err(|problem| match problem {
        ValueProblem::NoValue => (ProblemReason::Missing, "no value".to_owned()),
        ValueProblem::Wrong { reason, why } => (reason, why),
    })
}

/// Finite bounds, and how many observations each bucket has alone; the last one has no bound.
fn separate(buckets: &[(f64, u64)], cumulative: bool) -> Result<(Vec<f64>, Vec<u64>), String> {
    let (mut bounds, mut counts, mut below) = (Vec::new(), Vec::new(), 0);
    let mut last: Option<f64> = None;
    for (bound, count) in buckets {
        if last.is_some_and(|last| last.total_cmp(bound).is_eq()) {
            return Err(format!("two buckets end at {bound}"));
        }
        last = Some(*bound);
        let own = match cumulative {
            true => count
                .checked_sub(below)
                .ok_or_else(|| format!("the bucket up to {bound} has less than the one below"))?,
            false => *count,
        };
        below = *count;
        if bound.is_finite() {
            bounds.push(*bound);
        }
        counts.push(own);
    }
    if last.is_some_and(f64::is_finite) {
        counts.push(0);
    }
    Ok((bounds, counts))
}

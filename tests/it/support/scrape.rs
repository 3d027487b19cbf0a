//! The contents of `/metrics`, sample by sample.

use std::collections::BTreeMap;

/// The text of one scrape.
#[derive(Debug, Clone)]
pub(crate) struct Scrape {
    pub(crate) text: String,
    samples: Vec<Sample>,
}

/// One line that is not a comment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// The value as it is written, so that integers can be compared exactly.
    pub(crate) value: String,
}

impl Scrape {
    /// Parses the text format as the collector writes it: without timestamps and without escapes in
    /// the labels that tests use.
    pub(crate) fn parse(text: String) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(sample).collect();
        Self { text, samples }
    }

    /// All samples.
    pub(crate) fn all(&self) -> &[Sample] {
        &self.samples
    }

    /// The samples of `selector`: `name` or `name{label="value",…}`; other labels may have any
    /// value.
    pub(crate) fn select(&self, selector: &str) -> Vec<&Sample> {
        let (name, labels) = head(selector);
        let wanted = |sample: &&Sample| {
            let mut labels = labels.iter();
            sample.name == name && labels.all(|(key, value)| sample.labels.get(key) == Some(value))
        };
        self.samples.iter().filter(wanted).collect()
    }

    /// The value of the only sample of `selector`, as it is written. `None` if there is none.
    pub(crate) fn exact(&self, selector: &str) -> Option<&str> {
        match self.select(selector).as_slice() {
            [] => None,
            [one] => Some(&one.value),
            many => panic!("{selector} is {} samples: {many:?}", many.len()),
        }
    }

    /// The value as a number.
    pub(crate) fn value(&self, selector: &str) -> Option<f64> {
        self.exact(selector).map(|text| text.parse().unwrap())
    }

    /// The sum of all samples of `selector`; 0 if there are none.
    pub(crate) fn sum(&self, selector: &str) -> f64 {
        let selected = self.select(selector);
        let values = selected.iter().map(|s| s.value.parse::<f64>().unwrap());
        values.sum()
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = head(series);
    Sample {
        name,
        labels,
        value: value.to_owned(),
    }
}

/// Name and labels of `name{label="value",…}`.
fn head(series: &str) -> (String, BTreeMap<String, String>) {
    let Some((name, labels)) = series.split_once('{') else {
        return (series.to_owned(), BTreeMap::new());
    };
    let labels = labels.trim_end_matches('}').split_inclusive("\",");
    let pairs = labels.filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once("=\"").unwrap();
        let value = value.trim_end_matches(',').trim_end_matches('"');
        (key.to_owned(), value.to_owned())
    });
    (name.to_owned(), pairs.collect())
}

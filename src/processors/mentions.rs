//! Finds the metrics that the configuration of a processor names, to warn about names that no
//! metric has.

use super::{
    Config,
    cumulativetodelta::MatchMetrics,
    metric_matcher::{MatchConfig, MatchType, Texts},
};

/// A name or an expression for names, with its place.
#[derive(Debug)]
pub struct Mention {
    /// Its place below the processor.
    pub path: Vec<String>,
    /// The text of the name or expression.
    pub text: String,
    how: MatchType,
}

impl Mention {
    fn new(path: &[&str], text: &str, how: MatchType) -> Self {
        Self {
            path: path.iter().map(|key| (*key).to_owned()).collect(),
            text: text.to_owned(),
            how,
        }
    }

    /// Whether it is a name and not an expression.
    pub fn is_name(&self) -> bool {
        self.how == MatchType::Strict
    }

    /// Whether it matches one of the names. `None` for an invalid expression, which has its own
    /// message.
    pub fn fits<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Option<bool> {
        let texts = Texts::new(self.how, std::slice::from_ref(&self.text)).ok()?;
        Some(names.any(|name| texts.fit(name)))
    }
}

impl Config {
    /// All metrics in the configuration, without those that the processor itself creates.
    pub fn mentions(&self) -> Vec<Mention> {
        match self {
            Self::Attributes(config) => {
                let include = chosen(&["include"], config.include.as_ref());
                include
                    .chain(chosen(&["exclude"], config.exclude.as_ref()))
                    .collect()
            }
            Self::Filter(config) => {
                let include = chosen(&["metrics", "include"], config.metrics.include.as_ref());
                let exclude = chosen(&["metrics", "exclude"], config.metrics.exclude.as_ref());
                let names = config.names().into_iter().map(|(path, name)| {
                    let path: Vec<_> = path.iter().map(String::as_str).collect();
                    Mention::new(&path, &name, MatchType::Strict)
                });
                include.chain(exclude).chain(names).collect()
            }
            Self::CumulativeToDelta(config) => {
                let include = matched("include", config.include.as_ref());
                include
                    .chain(matched("exclude", config.exclude.as_ref()))
                    .collect()
            }
            Self::MetricsTransform(config) => config.mentions(),
            Self::Aggregate(config) => {
                let metrics = config.metrics.iter().enumerate();
                let metrics = metrics.map(|(index, metric)| {
                    let path = ["metrics", &index.to_string(), "include"];
                    Mention::new(&path, &metric.include, metric.match_type)
                });
                metrics.collect()
            }
            Self::Batch(_) | Self::GroupByAttrs(_) | Self::MemoryLimiter(_) | Self::Resource(_) => {
                Vec::new()
            }
        }
    }
}

impl super::metricstransform::Config {
    fn mentions(&self) -> Vec<Mention> {
        let mut made: Vec<&str> = Vec::new();
        let mut mentions = Vec::new();
        for (index, transform) in self.transforms.iter().enumerate() {
            let path = ["transforms", &index.to_string(), "include"];
            let mention = Mention::new(&path, &transform.include, transform.match_type);
            // A definition does not have the metrics that an earlier transform created.
            if mention.fits(made.iter().copied()) != Some(true) {
                mentions.push(mention);
            }
            if transform.new_name.contains('$') {
                break;
            }
            made.push(&transform.new_name);
        }
        mentions
    }
}

fn chosen<'c>(
    path: &'c [&'c str],
    config: Option<&'c MatchConfig>,
) -> impl Iterator<Item = Mention> + 'c {
    config.into_iter().flat_map(move |config| {
        let names = config.metric_names.iter().enumerate();
        names.map(move |(index, name)| {
            let index = index.to_string();
            let path = [path, &["metric_names", &index]].concat();
            Mention::new(&path, name, config.match_type)
        })
    })
}

fn matched<'c>(
    key: &'c str,
    config: Option<&'c MatchMetrics>,
) -> impl Iterator<Item = Mention> + 'c {
    config.into_iter().flat_map(move |config| {
        let names = config.metrics.iter().enumerate();
        names.filter_map(move |(index, name)| {
            let path = [key, "metrics", &index.to_string()];
            Some(Mention::new(&path, name, config.match_type?))
        })
    })
}

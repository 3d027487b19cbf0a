//! Finds the metrics that the configuration of a processor names, to warn about names that no
//! metric has.

use super::metric_matcher::{MatchConfig, MatchType, Texts};

/// A name or an expression for names, with its place.
#[derive(Debug, Clone)]
pub struct Mention {
    /// Its place below the processor.
    pub path: Vec<String>,
    /// The text of the name or expression.
    pub text: String,
    how: MatchType,
}

impl Mention {
    pub(super) fn new(path: &[&str], text: &str, how: MatchType) -> Self {
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

/// The names in `config`, which stands at `path`.
pub(super) fn chosen<'c>(
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

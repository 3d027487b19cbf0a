//! The sources of a configuration.

use super::{Environment, expand, merge};
use crate::{
    runtime::read_input,
    yaml::{self, Diagnostics, MapEntry, Node, Place, Value},
};
use std::{io, path::PathBuf};

/// The largest number of `--config` and `--set` arguments.
pub const MAX_SOURCES: usize = 100;
/// The largest file, in bytes.
pub const MAX_FILE: u64 = 4 << 20;

/// One part of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigSource {
    /// `file:PATH`, or only the path.
    File(PathBuf),
    /// `env:NAME`: an environment variable with YAML.
    Env(String),
    /// `yaml:TEXT`, or `--set a.b=c` or `--set a::b=c`: YAML in which the key `a::b` means `b` in
    /// `a`.
    Yaml {
        /// The name of the source in messages.
        name: String,
        /// The YAML text.
        text: String,
    },
}

/// Why the arguments are not a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SourceError {
    #[error("at least one config flag must be provided")]
    None,
    #[error("unsupported scheme on URI {0:?}")]
    Scheme(String),
    #[error("missing equal sign")]
    NoEqualSign,
    #[error("more than {MAX_SOURCES} configurations")]
    TooMany,
}

/// Reads the values of `--config` and then of `--set`, which win.
///
/// # Errors
/// If one is malformed, or if there are none or too many.
pub fn sources(configs: &[String], sets: &[String]) -> Result<Vec<ConfigSource>, SourceError> {
    if configs.is_empty() {
        return Err(SourceError::None);
    }
    if configs.len() + sets.len() > MAX_SOURCES {
        return Err(SourceError::TooMany);
    }
    let configs = configs
        .iter()
        .map(|argument| ConfigSource::config(argument));
    configs
        .chain(sets.iter().map(|argument| ConfigSource::set(argument)))
        .collect()
}

impl ConfigSource {
    /// Reads the value of a `--config`.
    ///
    /// # Errors
    /// If it starts with an unknown scheme.
    pub fn config(argument: &str) -> Result<Self, SourceError> {
        match argument.split_once(':') {
            Some(("file", path)) => Ok(Self::File(path.into())),
            Some(("env", name)) => Ok(Self::Env(name.to_owned())),
            Some(("yaml", text)) => Ok(Self::Yaml {
                name: "--config yaml:".to_owned(),
                text: text.to_owned(),
            }),
            Some((scheme, _)) if is_scheme(scheme) => {
                let shown = yaml::beginning_of_url(argument);
                Err(SourceError::Scheme(
                    shown.unwrap_or_else(|| format!("{scheme}:")),
                ))
            }
            _ => Ok(Self::File(argument.into())),
        }
    }

    /// Reads the value of a `--set`.
    ///
    /// # Errors
    /// If it has no `=`.
    pub fn set(argument: &str) -> Result<Self, SourceError> {
        let (key, value) = argument.split_once('=').ok_or(SourceError::NoEqualSign)?;
        // `::` separates keys that contain a dot, such as the name of a label.
        let key = key.trim();
        let path = match key.contains("::") {
            true => key.to_owned(),
            false => key.replace('.', "::"),
        };
        Ok(Self::Yaml {
            name: format!("--set {key}"),
            text: format!("{path}: {value}"),
        })
    }

    /// The name of the source in messages.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Env(name) => format!("env:{name}"),
            Self::Yaml { name, .. } => name.clone(),
        }
    }

    fn text(&self, environment: &Environment<'_>) -> Result<String, String> {
        match self {
            Self::Yaml { text, .. } => Ok(text.clone()),
            Self::Env(name) => {
                environment(name).ok_or_else(|| format!("environment variable {name:?} is not set"))
            }
            Self::File(path) => {
                let text = read_input(path, MAX_FILE).map_err(|error| match error.kind() {
                    io::ErrorKind::FileTooLarge => {
                        format!("the file is larger than {MAX_FILE} bytes")
                    }
                    _ => format!("cannot read the file: {error}"),
                })?;
                String::from_utf8(text).map_err(|_| "the file is not UTF-8 text".to_owned())
            }
        }
    }

    fn parse(&self, environment: &Environment<'_>, found: &mut Diagnostics) -> Option<Node> {
        let name = self.name();
        let text = match self.text(environment) {
            Ok(text) => text,
            Err(message) => {
                found.error(&Place::whole(&name), "", message);
                return None;
            }
        };
        let node = yaml::parse(&name, &text, found)?;
        match &node.value {
            Value::Map(_) if matches!(self, Self::Yaml { .. }) => Some(nest(node)),
            Value::Map(_) | Value::Null => Some(node),
            Value::Scalar(_) | Value::Seq(_) => {
                // A variable may have been meant for something else, so its value is not shown.
                let what = match self {
                    Self::Env(_) => node.describe_kind(),
                    Self::File(_) | Self::Yaml { .. } => node.describe(),
                };
                let message = format!("a configuration is a map, found {what}");
                found.error(&node.place, "", message);
                None
            }
        }
    }
}

/// Two letters or more, so that the drive in `C:\config.yaml` is not a scheme.
fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "+.-".contains(letter))
}

/// Turns `a::b: c` into a `b` inside of an `a`, in all keys of the outermost map.
fn nest(node: Node) -> Node {
    let Node {
        value: Value::Map(entries),
        place,
        ..
    } = node
    else {
        return node;
    };
    let map = |entries| Node::new(Value::Map(entries), place.clone());
    entries.into_iter().fold(
        map(Vec::new()),
        |merged,
         MapEntry {
             key,
             key_place,
             value,
         }| {
            let nested = key.rsplit("::").fold(value, |inner, key| {
                let entry = MapEntry {
                    key: key.to_owned(),
                    key_place: key_place.clone(),
                    value: inner,
                };
                Node::new(Value::Map(vec![entry]), key_place.clone())
            });
            merge(merged, nested)
        },
    )
}

/// Reads all sources, merges each over the earlier ones, and expands the references to variables.
///
/// Returns nothing if a source cannot be read. An invalid reference is reported, and the rest is
/// returned for further checks.
pub fn load(
    sources: &[ConfigSource],
    environment: &Environment<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    let nodes: Vec<Option<Node>> = sources
        .iter()
        .map(|source| source.parse(environment, diagnostics))
        .collect();
    let nodes: Vec<Node> = nodes.into_iter().collect::<Option<_>>()?;
    // An empty source changes nothing.
    let (empty, filled): (Vec<Node>, Vec<Node>) = nodes.into_iter().partition(Node::is_null);
    let merged = filled
        .into_iter()
        .reduce(merge)
        .or_else(|| empty.into_iter().next())?;
    Some(expand(merged, environment, diagnostics))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn loaded(configs: &[&str], sets: &[&str]) -> String {
        let owned = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        let environment = |name: &str| match name {
            "CONFIG" => Some("a: {b: '${env:B}'}".to_owned()),
            "B" => Some("hunter2".to_owned()),
            _ => None,
        };
        let mut diagnostics = Diagnostics::new();
        match sources(&owned(configs), &owned(sets)) {
            Err(error) => error.to_string(),
            Ok(sources) => match load(&sources, &environment, &mut diagnostics) {
                Some(node) => format!("{node:?}"),
                None => diagnostics.to_string(),
            },
        }
    }

    #[test]
    fn later_sources_win() {
        for (configs, sets, result) in [
            (
                &["yaml:a::b::c: 1"][..],
                &["a.b.d=2"][..],
                r#"{"a": {"b": {"c": 1, "d": 2}}}"#,
            ),
            (
                &["yaml:{a::b: 1, a::c: 2}"],
                &[],
                r#"{"a": {"b": 1, "c": 2}}"#,
            ),
            (&["yaml:a: {b::c: 1}"], &[], r#"{"a": {"b::c": 1}}"#),
            (
                &["env:CONFIG"],
                &["a.c=[x]"],
                r#"{"a": {"b": ${env:B}, "c": [x]}}"#,
            ),
            (
                &["yaml:"],
                &["a::b.c=1", "a::d::e.f=2"],
                r#"{"a": {"b.c": 1, "d": {"e.f": 2}}}"#,
            ),
            (&["env:CONFIG", "yaml:"], &[], r#"{"a": {"b": ${env:B}}}"#),
            (&["env:CONFIG"], &["a="], r#"{"a": null}"#),
            (&["yaml:"], &[], "null"),
        ] {
            assert_eq!(loaded(configs, sets), result, "{configs:?} {sets:?}");
        }
    }

    #[test]
    fn error_messages_name_the_source_and_the_problem() {
        let many = ["yaml:"; 101];
        for (configs, sets, message) in [
            (
                &[][..],
                &["a=1"][..],
                "at least one config flag must be provided",
            ),
            (
                &["http://a/b?token=hunter2"],
                &[],
                "unsupported scheme on URI \"http://a\"",
            ),
            (&["yaml:"], &["a"], "missing equal sign"),
            (&many, &[], "more than 100 configurations"),
            (
                &["env:NONE"],
                &[],
                "env:NONE: environment variable \"NONE\" is not set",
            ),
            (
                &["yaml:[a]"],
                &[],
                "--config yaml::1:1: a configuration is a map, found a list",
            ),
        ] {
            assert_eq!(loaded(configs, sets), message, "{configs:?}");
        }
        assert!(
            loaded(&["C:\\none.yaml"], &[]).starts_with("C:\\none.yaml: cannot read the file: ")
        );
        assert!(loaded(&["yaml:"], &["a.b=[x"]).starts_with("--set a.b:"));
        let both = loaded(&["file:/none.yaml", "yaml:a: b: c"], &[]);
        assert_eq!(both.lines().count(), 2, "{both}");
    }

    #[test]
    fn files_above_the_size_limit_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.yaml");
        let read = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            loaded(&[path.to_str().unwrap()], &[])
        };
        assert_eq!(read(b"a: ${env:B}"), r#"{"a": ${env:B}}"#);
        assert!(read(b"a: \xff").ends_with("the file is not UTF-8 text"));
        assert!(
            read(&vec![b' '; (4 << 20) + 1]).ends_with("the file is larger than 4194304 bytes")
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in r"(a|b|::|: |\n|\$\{|\}|,|\{|\PC){0,20}") {
            loaded(&[&format!("yaml:{text}")], &[&text]);
        }
    }
}

//! Finds a definition, reads it and compiles it.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use schemars::transform::RecursiveTransform;

use super::{
    BUILTIN, Builtin, Definition,
    compile::compile,
    file::File,
    groups,
    metric_file::MetricFile,
    request::{Parameters, shown},
    transforms::add_transforms,
};
use crate::{
    runtime::{read_input, text_of},
    yaml::{self, Cursor, Diagnostics, Environment, Node, Within, expand_within, list, nearest},
};

/// The largest size of a definition file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a definition could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The name is neither a file nor a built-in definition.
    #[error(
        "there is no definition `{name}`: no file `pipelines/{name}.yaml`, and {}",
        builtin_names(name)
    )]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error("failed to read the definition `{}`", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("the definition `{}` is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file has mistakes. All of them are listed.
    #[error("{0}")]
    Invalid(Diagnostics),
}

/// Finds the definition `reference`. A reference is a path (with a `/` or `.yaml`) or a name. A
/// name means `pipelines/NAME.yaml` in the working directory if that file exists, and otherwise a
/// built-in definition.
///
/// # Errors
/// If there is no such definition, or if it has mistakes. All mistakes are reported at once.
pub fn load(reference: &str) -> Result<Arc<Definition>, LoadError> {
    let file = location(reference);
    if is_path(reference) || file.is_file() {
        return from_file(&file);
    }
    let builtin = BUILTIN.iter().find(|builtin| builtin.name == reference);
    load_builtin(builtin.ok_or_else(|| LoadError::Unknown {
        name: reference.to_owned(),
    })?)
}

/// The file in which the definition `reference` is looked up before the built-in ones.
pub fn location(reference: &str) -> PathBuf {
    match is_path(reference) {
        true => PathBuf::from(reference),
        false => Path::new("pipelines").join(format!("{reference}.yaml")),
    }
}

/// Compiles a built-in definition.
///
/// # Errors
/// None in a binary that passes its tests.
pub fn load_builtin(builtin: &Builtin) -> Result<Arc<Definition>, LoadError> {
    from_text(
        builtin.name,
        &format!("built-in {}.yaml", builtin.name),
        builtin.text,
    )
}

/// The JSON Schema of a definition, in draft 07, which editors use for completion.
pub fn schema() -> serde_json::Value {
    schema_of::<File>()
}

/// The JSON Schema of a file of this kind, in draft 07. It forbids unknown keys.
pub(crate) fn schema_of<T: schemars::JsonSchema>() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft07();
    settings
        .with_transform(RecursiveTransform(closed))
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Forbids unknown keys.
fn closed(schema: &mut schemars::Schema) {
    if schema.get("properties").is_some() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
}

fn is_path(reference: &str) -> bool {
    let extension = Path::new(reference).extension();
    reference.contains('/') || extension.is_some_and(|e| e == "yaml" || e == "yml")
}

fn from_file(path: &Path) -> Result<Arc<Definition>, LoadError> {
    let path = path.to_owned();
    let read = read_input(&path, FILE_BYTES_MAX);
    let text = match read.and_then(text_of) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            return Err(LoadError::TooLarge { path });
        }
        Err(source) => return Err(LoadError::Read { path, source }),
    };
    let name = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("definition");
    from_text(name, &path.display().to_string(), &text)
}

/// Compiles the definition `name` from YAML. Messages name `source` as its file. `${env:NAME}` is
/// replaced by a variable of the process.
///
/// # Errors
/// If the text has mistakes. All of them are reported at once.
pub fn from_text(name: &str, source: &str, text: &str) -> Result<Arc<Definition>, LoadError> {
    from_text_in(name, source, text, &|name| std::env::var(name).ok())
}

/// Compiles a definition with the given variables. A variable that is not set and has no default is
/// a mistake: without it an endpoint would be requested without its key.
fn from_text_in(
    name: &str,
    source: &str,
    text: &str,
    environment: &Environment<'_>,
) -> Result<Arc<Definition>, LoadError> {
    let mut diagnostics = Diagnostics::new();
    let definition = yaml::parse(source, text, &mut diagnostics).map(|node| {
        let rules = Within {
            written: &shown::written,
            is_filled_in_later: &shown::is_filled_in_later,
        };
        let node = expand_within(node, environment, &rules, &mut diagnostics);
        let node = groups::flatten(node, &mut diagnostics);
        diagnostics.make_strict();
        let root = Cursor::new(&node, "");
        let file = yaml::decode::<File>(&node, "", &mut diagnostics);
        let file = file.unwrap_or_else(|| sound_endpoints(&root));
        let mut definition = compile(name, &file, &sound_metrics(&root), &root, &mut diagnostics);
        add_transforms(&mut definition, &root, text, &mut diagnostics);
        diagnostics.hide_values(&node);
        diagnostics.say_once();
        let mut hasher = DefaultHasher::new();
        (name, text).hash(&mut hasher);
        hash_values(&node, &mut hasher);
        definition.digest = hasher.finish();
        definition
    });
    match definition {
        Some(definition) if diagnostics.is_empty() => Ok(Arc::new(definition)),
        _ => Err(LoadError::Invalid(diagnostics)),
    }
}

/// Adds the resolved values to the digest. Resolved references are part of a definition.
fn hash_values(node: &Node, hasher: &mut DefaultHasher) {
    if let Some(expansion) = &node.expansion {
        expansion.text.hash(hasher);
    }
    let values = node.entries().iter().map(|entry| &entry.value);
    for value in values.chain(node.items()) {
        hash_values(value, hasher);
    }
}

/// A file with only its endpoints, for checking the metrics of a file that has mistakes. An
/// endpoint that could not be read is included by name.
fn sound_endpoints(root: &Cursor<'_>) -> File {
    let section = root.at(&["endpoints"]);
    let entries = section.iter().flat_map(|section| section.node.entries());
    let endpoints = entries.map(|entry| {
        let read = yaml::decode(&entry.value, "", &mut Diagnostics::new());
        (entry.key.clone(), read.unwrap_or_default())
    });
    File {
        description: None,
        resource: BTreeMap::new(),
        endpoints: endpoints.collect(),
        start_time: None,
        uptime: None,
        parameters: parameters(root),
        metrics: Vec::new(),
    }
}

/// The parameters that can be read.
fn parameters(root: &Cursor<'_>) -> Parameters {
    let section = root.at(&["parameters"]);
    let read = section.and_then(|section| yaml::decode(section.node, "", &mut Diagnostics::new()));
    read.unwrap_or_default()
}

/// The metrics that can be read, each with its place. Those that cannot have their messages, and
/// hide no mistake in the others.
fn sound_metrics<'n>(root: &Cursor<'n>) -> Vec<(Cursor<'n>, MetricFile)> {
    let section = root.at(&["metrics"]);
    let items = section.iter().flat_map(Cursor::children);
    let read = items.map(|at| {
        let metric = yaml::decode(at.node, &at.path, &mut Diagnostics::new())?;
        Some((at, metric))
    });
    read.flatten().collect()
}

/// Names the built-in definitions, for a message about `asked`.
fn builtin_names(asked: &str) -> String {
    let names: Vec<_> = BUILTIN.iter().map(|builtin| builtin.name).collect();
    match nearest(asked, &names) {
        Some(near) => format!("none is built in (did you mean `{near}`?)"),
        None => format!("built in are {}", list(&names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Scope;

    const TEXT: &str = "
endpoints:
  prices: {path: '/${env:TENANT}/prices?key=${env:KEY}&currency=${env:CURRENCY:-EUR}'}
  hourly: {path: /history?window=1h}
  daily: {path: /history?window=1d}
metrics:
  - {name: '${env:NAME}', instrument: gauge, endpoint: prices, value: '$.a', unit: '$${x}'}
";

    fn environment(name: &str) -> Option<String> {
        let value = match name {
            "TENANT" => "a/b",
            "KEY" => "hunter2&x=ü",
            "NAME" => "price",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn references_are_followed_and_values_of_a_query_are_not_shown() {
        let definition = from_text_in("test", "test.yaml", TEXT, &environment).unwrap();
        let endpoints = definition.endpoints.iter();
        let endpoints: Vec<_> = endpoints
            .map(|endpoint| {
                let rendered = endpoint.request.render(&Scope::NOTHING).unwrap();
                (rendered.path, &*endpoint.path)
            })
            .collect();
        let expected = [
            (
                "/a%2Fb/prices?key=hunter2%26x%3D%C3%BC&currency=EUR",
                "/{TENANT}/prices?key={key}&currency={currency}",
            ),
            ("/history?window=1h", "/history?window={window}"),
            ("/history?window=1d", "/history?window={window}"),
        ];
        assert_eq!(
            endpoints,
            expected.map(|(asked, shown)| (asked.to_owned(), shown))
        );
        assert_eq!(definition.instruments[0].name, "price");
        assert_eq!(definition.instruments[0].unit, "${x}");
        assert!(!format!("{definition:?}").contains("hunter2"));
        let other = |name: &str| match name {
            "KEY" => Some("hunter3".to_owned()),
            name => environment(name),
        };
        let other = from_text_in("test", "test.yaml", TEXT, &other).unwrap();
        assert_ne!(other.digest, definition.digest, "another key is a change");
    }

    #[test]
    fn what_a_variable_holds_is_no_reference() {
        let text = "
endpoints:
  a:
    path: '/${env:KEY}/${target:zone}'
    method: POST
    headers: {X-Key: '${env:KEY}', X-Price: '5$'}
    body: {json: {key: '${env:KEY} $${x}', count: '${env:COUNT}', n: 7}}
metrics:
  - {name: a, instrument: gauge, value: '$.a'}
";
        let environment = |name: &str| match name {
            "KEY" => Some("$${param:x}${target:zone}".to_owned()),
            "COUNT" => Some("3".to_owned()),
            _ => None,
        };
        let definition = from_text_in("test", "test.yaml", text, &environment).unwrap();
        let [endpoint] = definition.endpoints.as_slice() else {
            panic!("one endpoint");
        };
        assert_eq!(&*endpoint.path, "/{KEY}/{target:zone}");
        let labels = BTreeMap::from([("zone".to_owned(), "z".to_owned())]);
        let scope = Scope {
            labels: &labels,
            ..Scope::NOTHING
        };
        let rendered = endpoint.request.render(&scope).unwrap();
        assert_eq!(
            rendered.path,
            "/%24%24%7Bparam%3Ax%7D%24%7Btarget%3Azone%7D/z"
        );
        assert_eq!(rendered.headers["x-key"], "$${param:x}${target:zone}");
        assert_eq!(rendered.headers["x-price"], "5$");
        let body: serde_json::Value = serde_json::from_slice(&rendered.body).unwrap();
        let key = "$${param:x}${target:zone} ${x}";
        assert_eq!(body, serde_json::json!({"key": key, "count": 3, "n": 7}));
    }

    #[test]
    fn mistakes_show_no_value() {
        let nothing = |_: &str| None;
        let error = from_text_in("test", "test.yaml", TEXT, &nothing).unwrap_err();
        let unset = "configuration references unset environment variable \"KEY\"";
        assert!(error.to_string().contains(unset), "{error}");
        let text = "
endpoints:
  a: {path: '${env:KEY}'}
  b: {path: 'b?key=hunter2'}
  c: {path: '/${env:KEY}/${param:x}', headers: {A: '${env:KEY}${zone:x}'}}
metrics:
  - {name: x, instrument: gauge, endpoint: a, value: '$[${env:KEY}'}
  - {name: x, instrument: gauge, endpoint: a, value: '$.${target:zone}'}
";
        let error = from_text_in("test", "test.yaml", text, &environment).unwrap_err();
        let error = error.to_string();
        assert!(!error.contains("hunter2"), "{error}");
        for part in [
            "there is no parameter `x`",
            "expected a path that begins with `/`, found `{KEY}`",
            "expected a path that begins with `/`, found `b?key={key}`",
            "unsupported scheme \"target\"",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn what_has_no_end_is_not_read() {
        let error = load("/dev/zero").unwrap_err();
        assert!(matches!(error, LoadError::TooLarge { .. }), "{error}");
    }
}

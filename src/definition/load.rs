//! Finds a definition, reads it and compiles it.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use schemars::transform::RecursiveTransform;

use super::{
    BUILTIN, Builtin, Definition,
    compile::compile,
    file::{File, MetricFile},
};
use crate::{
    runtime::read_input,
    yaml::{self, Cursor, Diagnostics, list, nearest},
};

/// A definition file is no larger than this.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why there is no definition.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Neither a file nor a built-in definition.
    #[error(
        "there is no definition `{name}`: no file `pipelines/{name}.yaml`, and {}",
        builtin_names(name)
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error("failed to read the definition `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is too large.
    #[error("the definition `{}` is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file has mistakes; all of them.
    #[error("{0}")]
    Invalid(Diagnostics),
}

/// Finds the definition `reference`: a path (with a `/` or `.yaml`), or a name, which is
/// `pipelines/NAME.yaml` in the working directory if that exists and else a built-in one.
///
/// # Errors
/// If there is none, or it has mistakes: all of them at once.
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

/// Where the definition `reference` is looked for before those that are built in.
pub fn location(reference: &str) -> PathBuf {
    match is_path(reference) {
        true => PathBuf::from(reference),
        false => Path::new("pipelines").join(format!("{reference}.yaml")),
    }
}

/// Compiles a definition that is part of the binary.
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

/// The JSON Schema of a definition, as draft 07, so that editors complete it.
pub fn schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft07();
    settings
        .with_transform(RecursiveTransform(closed))
        .into_generator()
        .into_root_schema_for::<File>()
        .to_value()
}

/// No other keys than the known ones.
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
    let failed = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let text = match read_input(path, FILE_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(LoadError::TooLarge {
                path: path.to_owned(),
            });
        }
        read => read.map_err(failed)?,
    };
    let no_text = |error| failed(io::Error::new(io::ErrorKind::InvalidData, error));
    let text = String::from_utf8(text).map_err(no_text)?;
    let name = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("definition");
    from_text(name, &path.display().to_string(), &text)
}

/// Compiles the definition `name` from YAML; `source` stands in messages.
///
/// # Errors
/// All mistakes at once.
pub fn from_text(name: &str, source: &str, text: &str) -> Result<Arc<Definition>, LoadError> {
    let mut diagnostics = Diagnostics::new();
    let definition = yaml::parse(source, text, &mut diagnostics).map(|node| {
        let root = Cursor::new(&node, "");
        let file = yaml::decode::<File>(&node, "", &mut diagnostics);
        let file = file.unwrap_or_else(|| sound_endpoints(&root));
        compile(name, &file, &sound_metrics(&root), &root, &mut diagnostics)
    });
    match definition {
        Some(mut definition) if diagnostics.is_empty() => {
            let mut hasher = DefaultHasher::new();
            (name, text).hash(&mut hasher);
            definition.digest = hasher.finish();
            Ok(Arc::new(definition))
        }
        _ => Err(LoadError::Invalid(diagnostics)),
    }
}

/// A file with mistakes as far as its metrics need it: an endpoint that cannot be read is there.
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
        metrics: Vec::new(),
    }
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

/// The built-in definitions, for a message about `asked`.
fn builtin_names(asked: &str) -> String {
    let names: Vec<_> = BUILTIN.iter().map(|builtin| builtin.name).collect();
    match nearest(asked, &names) {
        Some(near) => format!("none is built in (did you mean `{near}`?)"),
        None => format!("built in are {}", list(&names)),
    }
}

//! Answers as files: `--record` writes them, and `--sample` reads them.
//!
//! An answer is a file with the name of its endpoint. Where there are several, pages or requests for
//! elements, they are numbered files, and `ENDPOINT.parts.json` says what they are.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cli::CommandError,
    definition::{self, BodyFormat, Definition, Endpoint, RequestElement},
    pipeline::{Body, BodyPart, Poll, Target},
    receivers::{self, SavedAnswer},
    runtime::{Clock, read_input},
};

/// The largest saved body.
const SAMPLE_BYTES_MAX: u64 = 64 << 20;

/// The most answers of one endpoint.
const PARTS_MAX: usize = 100_000;

/// The longest file name that every file system accepts is 255 bytes; a suffix follows.
const NAME_BYTES_MAX: usize = 220;

/// Says of a text that it is UTF-8, whatever the text says of itself.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One of several answers of an endpoint.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedPart {
    /// The name of its file.
    file: String,
    /// The pages of one answer have one number.
    answer: usize,
    /// The element that the request was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    element: Option<SavedElement>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedElement {
    key: String,
    value: Value,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SampleError {
    #[error("failed to read the sample `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` does not say which files are parts of an answer", path.display())]
    Parts {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("`{}` has more than {PARTS_MAX} parts", path.display())]
    TooMany { path: PathBuf },
    #[error("`{}` names a file outside of its directory: `{file}`", path.display())]
    Elsewhere { path: PathBuf, file: String },
    #[error("`{}` belongs to no endpoint of the definition: name it as one of {known}", path.display())]
    NoEndpoint { path: PathBuf, known: String },
}

/// Creates a poll from saved bodies: one file, or a directory with those of each endpoint.
pub(super) fn read_sample(
    path: &Path,
    definition: Option<&str>,
) -> Result<(Arc<Target>, Poll), CommandError> {
    let definition = definition::load(definition.unwrap_or_default())?;
    let target = Arc::new(Target::named(&path.display().to_string(), &definition));
    let answers = read_answers(path, &definition)?;
    let poll = receivers::sample(&definition, answers, &Clock::System);
    Ok((target, poll))
}

/// What was recorded of each endpoint.
///
/// # Errors
/// If a file cannot be read, or there is none of the definition.
pub(super) fn read_answers(
    path: &Path,
    definition: &Definition,
) -> Result<Vec<Option<SavedAnswer>>, SampleError> {
    let endpoints = definition.endpoints.iter();
    let answers = endpoints.map(|endpoint| read_answer(path, definition, endpoint));
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    if answers.iter().all(Option::is_none) {
        let known: Vec<_> = definition.endpoints.iter().map(file_name).collect();
        return Err(SampleError::NoEndpoint {
            path: path.to_owned(),
            known: known.join(", "),
        });
    }
    Ok(answers)
}

/// The saved answer of an endpoint, if there is one.
fn read_answer(
    path: &Path,
    definition: &Definition,
    endpoint: &Endpoint,
) -> Result<Option<SavedAnswer>, SampleError> {
    if !path.is_dir() {
        let is_it = definition.endpoints.len() == 1
            || path
                .file_stem()
                .is_some_and(|stem| stem == endpoint.id.as_str());
        return match is_it {
            true => {
                let body = read_input(path, SAMPLE_BYTES_MAX);
                let body = body.map_err(|source| SampleError::Read {
                    path: path.to_owned(),
                    source,
                })?;
                Ok(Some(SavedAnswer::Whole(body)))
            }
            false => Ok(None),
        };
    }
    let index = path.join(index_name(endpoint));
    if let Some(parts) = read_if_there(&index)? {
        return read_parts(path, &index, &parts).map(Some);
    }
    let body = read_if_there(&path.join(file_name(endpoint)))?;
    Ok(body.map(SavedAnswer::Whole))
}

fn read_parts(folder: &Path, index: &Path, text: &[u8]) -> Result<SavedAnswer, SampleError> {
    let parts = serde_json::from_slice::<Vec<SavedPart>>(text);
    let path = || index.to_owned();
    let parts = parts.map_err(|source| SampleError::Parts {
        path: path(),
        source,
    })?;
    if parts.len() > PARTS_MAX {
        return Err(SampleError::TooMany { path: path() });
    }
    let parts = parts.into_iter().map(|part| {
        let SavedPart {
            file,
            answer,
            element,
        } = part;
        if file.contains(['/', '\\']) || file.starts_with('.') {
            return Err(SampleError::Elsewhere { path: path(), file });
        }
        let file = folder.join(file);
        let raw = read_input(&file, SAMPLE_BYTES_MAX);
        let raw = raw.map_err(|source| SampleError::Read { path: file, source })?;
        Ok(BodyPart {
            raw: raw.into(),
            group: answer,
            element: element
                .map(|SavedElement { key, value }| Arc::new(RequestElement { key, value })),
        })
    });
    parts.collect::<Result<_, _>>().map(SavedAnswer::Parts)
}

/// A file that may be missing.
fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>, SampleError> {
    match read_input(file, SAMPLE_BYTES_MAX) {
        Ok(body) => Ok(Some(body)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SampleError::Read {
            path: file.to_owned(),
            source,
        }),
    }
}

fn file_name(endpoint: &Endpoint) -> String {
    let extension = endpoint.format.extension();
    safe_name(&format!("{}.{extension}", endpoint.id))
}

fn index_name(endpoint: &Endpoint) -> String {
    safe_name(&format!("{}.parts.json", endpoint.id))
}

/// The name of a file or directory for a target or an endpoint, whose name may be anything, even
/// `..`.
fn safe_name(of: &str) -> String {
    let is_unsafe = |c: char| c.is_control() || ['/', '\\'].contains(&c);
    let mut name = of.replace(is_unsafe, "_");
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    match name.trim_start_matches('.') {
        "" => "_".repeat(name.len().max(1)),
        _ => name,
    }
}

/// Writes the answers of a poll.
pub(super) fn record(folder: &Path, target: &Target, poll: &Poll) -> Result<(), CommandError> {
    let folder = folder.join(safe_name(&target.name));
    std::fs::create_dir_all(&folder)?;
    for (endpoint, polled) in target.definition.endpoints.iter().zip(&poll.endpoints) {
        if let Some(body) = polled.body() {
            write_answer(&folder, endpoint, body)?;
        }
    }
    Ok(())
}

fn write_answer(folder: &Path, endpoint: &Endpoint, body: &Body) -> io::Result<()> {
    let Some(parts) = body.parts() else {
        return write(&folder.join(file_name(endpoint)), endpoint, &body.raw);
    };
    let mut index = Vec::new();
    for (number, part) in (1..).zip(parts) {
        let extension = endpoint.format.extension();
        let file = safe_name(&format!("{}.{number}.{extension}", endpoint.id));
        write(&folder.join(&file), endpoint, &part.raw)?;
        index.push(SavedPart {
            file,
            answer: part.group,
            element: part.element.as_ref().map(|element| SavedElement {
                key: element.key.clone(),
                value: element.value.clone(),
            }),
        });
    }
    let index = serde_json::to_string_pretty(&index)?;
    std::fs::write(folder.join(index_name(endpoint)), index)
}

/// Writes a text, which is UTF-8 now. XML may still say something else.
fn write(file: &Path, endpoint: &Endpoint, raw: &[u8]) -> io::Result<()> {
    let needs_mark =
        endpoint.format == BodyFormat::Xml && !raw.is_ascii() && !raw.starts_with(BYTE_ORDER_MARK);
    match needs_mark {
        true => std::fs::write(file, [BYTE_ORDER_MARK, raw].concat()),
        false => std::fs::write(file, raw),
    }
}

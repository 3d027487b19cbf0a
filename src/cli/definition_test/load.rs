//! Finds test files, and reads one with the definition and the bodies that it names.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    file::{SavedBody, TestCase, TestFile},
    point::Point,
};
use crate::{
    cli::{CommandError, saved},
    definition::{self, BUILTIN, Definition, Endpoint},
    pipeline::BodyPart,
    receivers::SavedAnswer,
    runtime::{read_input, text_of},
    telemetry::chain,
    yaml::{self, Cursor, Diagnostics, Node, list, nearest},
};

/// The largest test file and the largest body in a file, in bytes.
const BYTES_MAX: u64 = 64 << 20;

/// The most test files of one run.
const FILES_MAX: usize = 10_000;

/// How the name of a test file ends.
const ENDINGS: [&str; 2] = [".test.yaml", ".test.yml"];

/// A test file, and what it refers to.
pub(super) struct Tests {
    /// The name of the file in messages.
    pub(super) source: String,
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) node: Node,
    pub(super) file: TestFile,
    pub(super) definition: Arc<Definition>,
    /// What is saved for each test, in the order of the endpoints.
    pub(super) bodies: Vec<Vec<Option<SavedAnswer>>>,
    /// The expected points of each test; none if the file does not say them.
    pub(super) points: Vec<Option<Vec<Point>>>,
}

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTests {
    #[error("failed to read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no `NAME.test.yaml` in `{}`", path.display())]
    EmptyFolder { path: PathBuf },
    #[error("more than {FILES_MAX} test files")]
    TooMany,
    #[error("`{}` is neither `NAME.test.yaml` nor a definition with such a file beside it", path.display())]
    NotOne { path: PathBuf },
}

/// The test files that `paths` name: files, definitions with a test file beside them, and folders.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, NoTests> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            files.extend(in_folder(path)?);
            if files.len() == before {
                return Err(NoTests::EmptyFolder { path: path.clone() });
            }
        } else if stem(path).is_some() {
            files.push(path.clone());
        } else {
            let beside = ENDINGS.map(|ending| path.with_extension(ending.trim_start_matches('.')));
            let beside = beside.into_iter().find(|file| file.is_file());
            files.push(beside.ok_or_else(|| NoTests::NotOne { path: path.clone() })?);
        }
        if files.len() > FILES_MAX {
            return Err(NoTests::TooMany);
        }
    }
    Ok(files)
}

fn in_folder(path: &Path) -> Result<Vec<PathBuf>, NoTests> {
    let read = |source| NoTests::Read {
        path: path.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read)? {
        let file = entry.map_err(read)?.path();
        if stem(&file).is_some() {
            files.push(file);
        }
        if files.len() > FILES_MAX {
            return Err(NoTests::TooMany);
        }
    }
    files.sort();
    Ok(files)
}

/// `NAME` of `NAME.test.yaml`; none for another file.
fn stem(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))
}

/// Reads a test file with its definition.
///
/// # Errors
/// If one of them has mistakes. All of them are reported at once.
pub(super) fn read(path: &Path) -> Result<Tests, CommandError> {
    let read = read_input(path, BYTES_MAX).and_then(text_of);
    let text = read.map_err(|source| NoTests::Read {
        path: path.to_owned(),
        source,
    })?;
    from_text(path, text)
}

/// The same with a text that may not be in the file yet.
pub(super) fn from_text(path: &Path, text: String) -> Result<Tests, CommandError> {
    let source = path.display().to_string();
    let parsed = parse(&source, &text)?;
    let named = parsed.file.definition.as_deref();
    let definition = definition::load(&reference(path, named))?;
    with_definition(path, text, parsed, definition)
}

fn parse(source: &str, text: &str) -> Result<Parsed, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let node = yaml::parse(source, text, &mut diagnostics);
    let parsed = node.and_then(|node| {
        let file = yaml::decode(&node, "", &mut diagnostics)?;
        Some(Parsed { node, file })
    });
    parsed.ok_or(diagnostics)
}

/// A test file whose form is right.
struct Parsed {
    node: Node,
    file: TestFile,
}

/// Reads what a test file refers to, and checks it against its definition.
fn with_definition(
    path: &Path,
    text: String,
    parsed: Parsed,
    definition: Arc<Definition>,
) -> Result<Tests, CommandError> {
    let Parsed { node, file } = parsed;
    let mut diagnostics = Diagnostics::new();
    let root = Cursor::new(&node, "");
    if file.tests.is_empty() {
        root.error(&["tests"], "a file has at least one test", &mut diagnostics);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut checker = Checker {
        definition: &definition,
        folder,
        diagnostics: &mut diagnostics,
    };
    for name in file.metrics.keys() {
        checker.metric(&root, &["metrics", name], name, false);
    }
    let (mut bodies, mut points) = (Vec::new(), Vec::new());
    for (index, test) in file.tests.iter().enumerate() {
        let Some(cursor) = root.at(&["tests", &index.to_string()]) else {
            continue;
        };
        if test.follows && index == 0 {
            let message = "there is no test above that it could follow";
            cursor.error(&["follows"], message, checker.diagnostics);
        }
        bodies.push(checker.bodies(test, &cursor));
        points.push(checker.points(test, &cursor));
        checker.names(test, &cursor);
    }
    if !diagnostics.is_empty() {
        return Err(diagnostics.into());
    }
    Ok(Tests {
        source: path.display().to_string(),
        path: path.to_owned(),
        text,
        node,
        file,
        definition,
        bodies,
        points,
    })
}

/// The tests of a definition, by its name or file: those beside its file, or those of a built-in one.
pub(super) fn of_definition(reference: &str) -> Result<Tests, CommandError> {
    let file = definition::location(reference);
    let builtin = BUILTIN.iter().find(|of| of.name == reference);
    let Some(builtin) = builtin.filter(|_| !file.is_file()) else {
        // A name that is unknown has a better message than a file that is not there.
        definition::load(reference)?;
        let files = find(&[file])?;
        let first = files.first().cloned().unwrap_or_default();
        return read(&first);
    };
    let path = PathBuf::from(format!("built-in {}.test.yaml", builtin.name));
    let parsed = parse(&path.display().to_string(), builtin.test)?;
    let definition = definition::load_builtin(builtin)?;
    with_definition(&path, builtin.test.to_owned(), parsed, definition)
}

/// How [`definition::load`] calls the definition of the test file at `path`.
fn reference(path: &Path, named: Option<&str>) -> String {
    let folder = path.parent().unwrap_or(Path::new(""));
    match named {
        Some(name) if name.contains('/') || name.ends_with("yaml") || name.ends_with("yml") => {
            folder.join(name).display().to_string()
        }
        Some(name) => name.to_owned(),
        None => {
            let name = stem(path).unwrap_or_default();
            folder.join(format!("{name}.yaml")).display().to_string()
        }
    }
}

/// Checks a file against its definition.
struct Checker<'c> {
    definition: &'c Definition,
    folder: &'c Path,
    diagnostics: &'c mut Diagnostics,
}

impl Checker<'_> {
    fn bodies(&mut self, test: &TestCase, cursor: &Cursor<'_>) -> Vec<Option<SavedAnswer>> {
        let definition = self.definition;
        let known: Vec<_> = definition
            .endpoints
            .iter()
            .map(|of| of.id.as_str())
            .collect();
        let mut bodies = vec![None; known.len()];
        match (&test.recorded, &test.bodies) {
            (Some(_), Some(_)) => {
                let message = "a test has either `bodies` or `recorded`";
                cursor.error(&["recorded"], message, self.diagnostics);
            }
            (Some(folder), None) => {
                match saved::read_answers(&self.folder.join(folder), definition) {
                    Ok(answers) => bodies = answers,
                    Err(error) => cursor.error(&["recorded"], chain(&error), self.diagnostics),
                }
            }
            (None, None) => {
                let message = "a test has `bodies`, or `recorded` with the directory of \
                               `check --record`";
                cursor.error(&[], message, self.diagnostics);
            }
            (None, Some(_)) => {}
        }
        for (name, saved) in test.bodies.iter().flatten() {
            let at = ["bodies", name];
            let index = definition.endpoint(name);
            let endpoint = index.and_then(|index| definition.endpoints.get(index));
            let slot = index.and_then(|index| bodies.get_mut(index));
            let (Some(endpoint), Some(slot)) = (endpoint, slot) else {
                let message = format!("there is no endpoint `{name}`; {}", hint(name, &known));
                cursor.error(&at, message, self.diagnostics);
                continue;
            };
            match self.answer(endpoint, saved) {
                Ok(answer) => *slot = Some(answer),
                Err(message) => cursor.error(&at, message, self.diagnostics),
            }
        }
        bodies
    }

    /// What is saved of an endpoint, if the endpoint is asked that way.
    fn answer(&self, endpoint: &Endpoint, saved: &SavedBody) -> Result<SavedAnswer, String> {
        let name = &endpoint.id;
        match (saved, &endpoint.derivation) {
            (SavedBody::ForEach(answers), Some(_)) => {
                let of_one = |answer: &Option<SavedBody>| {
                    let answer = answer.as_ref();
                    answer.map(|saved| self.texts(endpoint, saved)).transpose()
                };
                let answers = answers.iter().map(of_one).collect::<Result<_, _>>()?;
                Ok(SavedAnswer::ForElements(answers))
            }
            (SavedBody::ForEach(_), None) => Err(format!(
                "`{name}` is requested once: its endpoint has no `for_each`"
            )),
            (_, Some(derivation)) => {
                let parent = self.definition.endpoints.get(derivation.parent);
                let parent = parent.map(|of| of.id.to_string()).unwrap_or_default();
                Err(format!(
                    "`{name}` is requested for each element of `{parent}`: write \
                     `for_each: [BODY, …]`"
                ))
            }
            (SavedBody::Pages(_), None) => {
                let texts = self.texts(endpoint, saved)?.into_iter();
                let page = |raw: Vec<u8>| BodyPart {
                    raw: raw.into(),
                    group: 0,
                    element: None,
                };
                Ok(SavedAnswer::Parts(texts.map(page).collect()))
            }
            (saved, None) => self.text(saved).map(SavedAnswer::Whole),
        }
    }

    /// The texts of one answer.
    fn texts(&self, endpoint: &Endpoint, saved: &SavedBody) -> Result<Vec<Vec<u8>>, String> {
        match saved {
            SavedBody::Pages(_) if endpoint.pages.is_none() => Err(format!(
                "`{}` has one page: its endpoint has no `pages`",
                endpoint.id
            )),
            SavedBody::Pages(pages) => pages.iter().map(|page| self.text(page)).collect(),
            saved => Ok(vec![self.text(saved)?]),
        }
    }

    fn text(&self, saved: &SavedBody) -> Result<Vec<u8>, String> {
        match saved {
            SavedBody::Text(text) => Ok(text.clone().into_bytes()),
            SavedBody::Json(document) => Ok(document.to_string().into_bytes()),
            SavedBody::File(file) => {
                let path = self.folder.join(file);
                read_input(&path, BYTES_MAX)
                    .map_err(|error| format!("failed to read `{}`: {error}", path.display()))
            }
            SavedBody::Pages(_) | SavedBody::ForEach(_) => {
                Err("expected one body: a text, `{file: PATH}` or `{json: …}`".to_owned())
            }
        }
    }

    fn points(&mut self, test: &TestCase, cursor: &Cursor<'_>) -> Option<Vec<Point>> {
        let mut points: Vec<Point> = Vec::new();
        for (index, text) in test.points.as_ref()?.iter().enumerate() {
            let at = ["points", &index.to_string()];
            match text.parse::<Point>() {
                Ok(point) if points.iter().any(|other| other.series == point.series) => {
                    let message = format!("`{}` is there twice", point.series);
                    cursor.error(&at, message, self.diagnostics);
                }
                Ok(point) => points.push(point),
                Err(error) => cursor.error(&at, error.to_string(), self.diagnostics),
            }
        }
        Some(points)
    }

    /// Checks the names of metrics and the times that a test mentions.
    fn names(&mut self, test: &TestCase, cursor: &Cursor<'_>) {
        for (index, problem) in test.problems.iter().enumerate() {
            let at = ["problems", &index.to_string(), "metric"];
            self.metric(cursor, &at, &problem.metric, true);
        }
        for (index, name) in test.resets.iter().enumerate() {
            let at = ["resets", &index.to_string()];
            if test.follows {
                self.metric(cursor, &at, name, false);
            } else {
                let message = "a counter falls only in a test with `follows: true`";
                cursor.error(&at, message, self.diagnostics);
            }
        }
        let start = test.start_time.as_deref();
        if start.is_some_and(|text| text.parse::<jiff::Timestamp>().is_err()) {
            let message = "expected a time such as 2026-01-01T00:00:00Z";
            cursor.error(&["start_time"], message, self.diagnostics);
        }
    }

    fn metric(&mut self, cursor: &Cursor<'_>, at: &[&str], name: &str, is_start_allowed: bool) {
        let instruments = self.definition.instruments.iter();
        let mut known: Vec<_> = instruments.map(|of| of.name.as_str()).collect();
        let start = self.definition.start.iter().map(|of| of.name());
        known.extend(start.filter(|_| is_start_allowed));
        if !known.contains(&name) {
            let message = format!("there is no metric `{name}`; {}", hint(name, &known));
            cursor.error(at, message, self.diagnostics);
        }
    }
}

/// What there is instead of `name`.
fn hint(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", list(known)),
    }
}

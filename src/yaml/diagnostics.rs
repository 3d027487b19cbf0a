//! All findings about a configuration, each with its place.

use super::{Node, Place, Value};
use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// The place in the file.
    pub place: Place,
    /// The path, such as `receivers::betanet::timeout`; empty for a whole source.
    pub path: String,
    /// The message, in lower case and without a full stop.
    pub message: String,
    /// A suggestion, such as ``did you mean `timeout`?``.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// All findings in the order of the files, each once. As an error it prints the errors, one per
/// line. Warnings are separate.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics {
    errors: BTreeSet<Diagnostic>,
    warnings: BTreeSet<Diagnostic>,
    /// That references name, whether they could be read or not.
    files: BTreeSet<PathBuf>,
}

impl Diagnostics {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there are no errors. Warnings do not count.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// A reference names this file: when it changes, so does what was read.
    pub fn note_file(&mut self, file: impl Into<PathBuf>) {
        self.files.insert(file.into());
    }

    /// The files that references name.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// The errors.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.errors.iter()
    }

    /// The warnings.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.warnings.iter()
    }

    /// Adds an error.
    pub fn error(&mut self, place: &Place, path: impl Into<String>, message: impl Into<String>) {
        self.push(Diagnostic {
            place: place.clone(),
            path: path.into(),
            message: message.into(),
            help: None,
        });
    }

    /// Adds an error that may have a suggestion.
    pub fn push(&mut self, error: Diagnostic) {
        self.errors.insert(error);
    }

    /// Adds a warning.
    pub fn warning(&mut self, place: &Place, path: impl Into<String>, message: impl Into<String>) {
        self.warnings.insert(Diagnostic {
            place: place.clone(),
            path: path.into(),
            message: message.into(),
            help: None,
        });
    }

    /// Says what is wrong at one place once, where the place belongs to several paths.
    pub fn say_once(&mut self) {
        let mut last: Option<Diagnostic> = None;
        let mut said = BTreeSet::new();
        self.errors.retain(|error| {
            if last.as_ref().is_none_or(|last| last.place != error.place) {
                said.clear();
            }
            last = Some(error.clone());
            said.insert(error.message.clone())
        });
    }

    /// Adds all findings of `other`.
    pub fn extend(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
    }

    /// Adds the findings of `other` at paths without a known error: after an invalid reference, an
    /// error about its text is no new information.
    pub fn extend_news(&mut self, mut other: Self) {
        let known = |path: &str| self.errors.iter().any(|error| error.path == path);
        other
            .errors
            .retain(|error| error.path.is_empty() || !known(&error.path));
        self.extend(other);
    }

    /// Replaces the values of the references in `root` by the references, wherever a message
    /// repeats a value.
    pub fn hide_values(&mut self, root: &Node) {
        let mut values = Vec::new();
        expansions(root, &mut values);
        // Longer values come first: a value that is part of another one must not leave the rest of
        // it.
        values.sort_unstable_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        let hidden = |text: String| {
            let hide =
                |text: String, (value, reference): &(&str, &str)| text.replace(value, reference);
            values.iter().fold(text, hide)
        };
        for found in [&mut self.errors, &mut self.warnings] {
            let shown = std::mem::take(found).into_iter().map(|one| Diagnostic {
                message: hidden(one.message),
                help: one.help.map(hidden),
                ..one
            });
            *found = shown.collect();
        }
    }

    /// Turns the warnings into errors.
    pub fn make_strict(&mut self) {
        self.errors.append(&mut self.warnings);
    }

    /// The findings as an error, if there are errors.
    ///
    /// # Errors
    /// If there are findings other than warnings.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// The values of the references below a node, and the text of each. Very short values are not
/// secrets, and would be found everywhere.
fn expansions<'n>(node: &'n Node, into: &mut Vec<(&'n str, &'n str)>) {
    const TELLING: usize = 4;
    if let Some(expansion) = &node.expansion
        && expansion.text.trim().len() >= TELLING
    {
        into.push((expansion.text.trim(), &expansion.reference));
    }
    match &node.value {
        Value::Seq(items) => items.iter().for_each(|item| expansions(item, into)),
        Value::Map(entries) => {
            let values = entries.iter().map(|entry| &entry.value);
            values.for_each(|value| expansions(value, into));
        }
        Value::Null | Value::Scalar(_) => {}
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

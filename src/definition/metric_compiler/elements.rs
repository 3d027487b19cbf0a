//! Compiles the levels of `for_each`, whose elements give one series each.

use super::MetricCompiler;
use crate::{
    definition::{
        Level,
        metric_file::{ElementsFile, LevelFile},
    },
    yaml::Cursor,
};

/// The name by which attributes refer to the whole document.
pub(super) const DOCUMENT: &str = "document";

/// The largest number of nested levels.
const LEVELS_MAX: usize = 8;

impl MetricCompiler<'_> {
    /// The levels, from the outermost. None if one of them is wrong.
    pub(super) fn levels(
        &mut self,
        elements: Option<&ElementsFile>,
        cursor: &Cursor<'_>,
    ) -> Option<Vec<Level>> {
        let Some(ElementsFile(files)) = elements else {
            return Some(Vec::new());
        };
        if !(1..=LEVELS_MAX).contains(&files.len()) {
            let message = format!("expected 1 to {LEVELS_MAX} levels");
            cursor.error(&["for_each"], message, self.diagnostics);
            return None;
        }
        let mut levels = Vec::new();
        let mut is_right = true;
        for (index, file) in files.iter().enumerate() {
            match self.level(file, index, &levels, cursor) {
                Some(level) => levels.push(level),
                None => is_right = false,
            }
        }
        is_right.then_some(levels)
    }

    /// The level at `index`. None if it is wrong.
    fn level(
        &mut self,
        file: &LevelFile,
        index: usize,
        before: &[Level],
        cursor: &Cursor<'_>,
    ) -> Option<Level> {
        let index = index.to_string();
        let node = cursor.node.at(&["for_each"]);
        let at: &[&str] = match node.is_some_and(|node| !node.items().is_empty()) {
            true => &["for_each", &index],
            false => &["for_each"],
        };
        let place = |key: &'static str| {
            let node = cursor.node.at(at);
            let is_map = node.is_some_and(|of| of.get(key).is_some());
            let place = at.iter().copied().chain(is_map.then_some(key));
            place.collect::<Vec<_>>()
        };
        let path = self.path(&file.path, cursor, &place("path"));
        let keys = match &file.keys {
            Some(text) => self.pattern(text, cursor, &place("keys")).map(Some),
            None => Some(None),
        };
        let wrong = file
            .name
            .as_deref()
            .and_then(|name| wrong_name(name, before));
        let is_named = wrong.is_none();
        if let Some(message) = wrong {
            cursor.error(&place("as"), message, self.diagnostics);
        }
        Some(Level {
            path: path?,
            optional: file.optional,
            keys: keys?,
            name: file.name.clone().filter(|_| is_named),
        })
        .filter(|_| is_named)
    }
}

/// What is wrong with the name of a level, if anything.
fn wrong_name(name: &str, before: &[Level]) -> Option<String> {
    let is_plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if name.is_empty() || !is_plain {
        return Some(format!(
            "`{name}` is no name of a level: letters, digits, `_` and `-`"
        ));
    }
    let is_taken = name == DOCUMENT || before.iter().any(|of| of.name.as_deref() == Some(name));
    is_taken.then(|| format!("`{name}` is the name of something else already"))
}

//! What the screen of `top` shows: the last answers, the view and the filter.

use super::{client::Answers, view::View};
use crate::{
    cli::CommandError,
    overview::{TargetQuery, TargetRow},
    telemetry::chain,
};

/// What the screen shows, and what the keys have done so far.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) query: TargetQuery,
    pub(super) view: View,
    /// The row that is chosen.
    pub(super) selected: usize,
    /// How many lines of a target have been passed.
    pub(super) scroll: u16,
    /// Whether keys are letters of the filter.
    pub(super) is_typing: bool,
    /// What the collector said last.
    pub(super) answers: Option<Answers>,
    /// Why it says nothing now.
    pub(super) error: Option<String>,
    /// Whether colors are wanted.
    pub(super) has_color: bool,
    /// Whether a key ended it.
    pub(super) is_over: bool,
}

impl Screen {
    /// Nothing is known yet.
    pub(super) fn new(query: TargetQuery, has_color: bool) -> Self {
        Self {
            query,
            view: View::Fleet,
            selected: 0,
            scroll: 0,
            is_typing: false,
            answers: None,
            error: None,
            has_color,
            is_over: false,
        }
    }

    /// The rows of the table.
    pub(super) fn rows(&self) -> &[TargetRow] {
        let answers = self.answers.as_ref();
        answers.map_or(&[], |answers| answers.targets.targets.as_slice())
    }

    /// Takes what the collector said.
    pub(super) fn take(&mut self, answers: Result<Answers, CommandError>) {
        match answers {
            Ok(answers) => {
                let chosen = self.rows().get(self.selected).map(|row| row.name.clone());
                self.answers = Some(answers);
                self.error = None;
                // The order changes under the reader, and the chosen target stays.
                let at = chosen.and_then(|name| self.rows().iter().position(|it| it.name == name));
                let last = self.rows().len().saturating_sub(1);
                self.selected = at.unwrap_or(self.selected).min(last);
            }
            // What was shown stays, and the screen says that it is old.
            Err(error) => self.error = Some(chain(error.as_ref())),
        }
    }
}

//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{screen::Screen, view::View};
use crate::overview::Sort;

/// So many rows are passed by a page key.
const PAGE: usize = 15;

/// The longest text that is searched for, in letters.
const TEXT: usize = 60;

impl Screen {
    /// Does what a key says; whether the collector is to be asked at once.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            self.is_over = true;
            return false;
        }
        if self.is_typing {
            return self.write(key.code);
        }
        match key.code {
            KeyCode::Char('q') => self.is_over = true,
            KeyCode::Char('/') => {
                self.view = View::Fleet;
                self.is_typing = true;
            }
            KeyCode::Char('s') => {
                self.query.sort = after(self.query.sort);
                return true;
            }
            KeyCode::Char('p') => {
                self.view = match self.view {
                    View::Pipelines => View::Fleet,
                    _ => View::Pipelines,
                };
                return true;
            }
            KeyCode::Enter => return self.enter(),
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => return self.back(),
            KeyCode::Down | KeyCode::Char('j') => self.pass(1, true),
            KeyCode::Up | KeyCode::Char('k') => self.pass(1, false),
            KeyCode::PageDown => self.pass(PAGE, true),
            KeyCode::PageUp => self.pass(PAGE, false),
            KeyCode::Home => self.pass(usize::MAX, false),
            KeyCode::End => self.pass(usize::MAX, true),
            _ => {}
        }
        false
    }

    fn write(&mut self, key: KeyCode) -> bool {
        let text = &mut self.query.text;
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                text.clear();
            }
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Char(letter) if text.chars().count() < TEXT => {
                text.extend(letter.to_lowercase());
            }
            _ => return false,
        }
        self.selected = 0;
        true
    }

    fn enter(&mut self) -> bool {
        if self.view != View::Fleet {
            return false;
        }
        match self.rows().get(self.selected) {
            Some(row) => {
                self.view = View::Target(row.name.clone());
                self.scroll = 0;
                true
            }
            None => false,
        }
    }

    fn back(&mut self) -> bool {
        if self.view == View::Fleet {
            let was_filtered = !self.query.text.is_empty();
            self.query.text.clear();
            return was_filtered;
        }
        self.view = View::Fleet;
        true
    }

    /// Passes so many rows of the table, or lines of a target.
    fn pass(&mut self, count: usize, is_down: bool) {
        let moved = |at: usize, last: usize| match is_down {
            true => at.saturating_add(count).min(last),
            false => at.saturating_sub(count),
        };
        if self.view == View::Fleet {
            self.selected = moved(self.selected, self.rows().len().saturating_sub(1));
            return;
        }
        let answers = self.answers.as_ref();
        let detail = answers.and_then(|answers| answers.detail.as_ref());
        let last = detail.map_or(0, |detail| detail.endpoints.len() + detail.decisions.len());
        let at = moved(usize::from(self.scroll), last);
        self.scroll = u16::try_from(at).unwrap_or(u16::MAX);
    }
}

/// The order that comes after another.
fn after(sort: Sort) -> Sort {
    let all = Sort::ALL.map(|(_, sort)| sort);
    let at = all.iter().position(|known| *known == sort).unwrap_or(0);
    all.get(at + 1).copied().unwrap_or(Sort::Worst)
}

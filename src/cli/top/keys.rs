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
            KeyCode::Down | KeyCode::Char('j') => self.choose(self.selected.saturating_add(1)),
            KeyCode::Up | KeyCode::Char('k') => self.choose(self.selected.saturating_sub(1)),
            KeyCode::PageDown => self.choose(self.selected.saturating_add(PAGE)),
            KeyCode::PageUp => self.choose(self.selected.saturating_sub(PAGE)),
            KeyCode::Home => self.choose(0),
            KeyCode::End => self.choose(usize::MAX),
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

    fn choose(&mut self, row: usize) {
        self.selected = row.min(self.rows().len().saturating_sub(1));
    }
}

/// The order that comes after another.
fn after(sort: Sort) -> Sort {
    let all = Sort::ALL.map(|(_, sort)| sort);
    let at = all.iter().position(|known| *known == sort).unwrap_or(0);
    all.get(at + 1).copied().unwrap_or(Sort::Worst)
}

//! The terminal: asks once a second, draws, and does what keys say.

use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::time::Instant;

use super::{
    client::{Answers, Client},
    draw::draw,
    view::View,
};
use crate::{
    cli::CommandError,
    overview::{TargetQuery, TargetRow},
    telemetry::chain,
};

/// How often the collector is asked.
const EVERY: Duration = Duration::from_secs(1);

/// What the screen shows, and what the keys have done so far.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) query: TargetQuery,
    pub(super) view: View,
    /// The row that is chosen.
    pub(super) selected: usize,
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
                self.answers = Some(answers);
                self.error = None;
                self.selected = self.selected.min(self.rows().len().saturating_sub(1));
            }
            // What was shown stays, and the screen says that it is old.
            Err(error) => self.error = Some(chain(error.as_ref())),
        }
    }
}

/// Shows the fleet until a key ends it.
pub(super) fn show(
    runtime: &tokio::runtime::Runtime,
    client: &Client,
    query: TargetQuery,
) -> Result<(), CommandError> {
    let has_color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut screen = Screen::new(query, has_color);
    // A collector that is not there is said before the screen is taken.
    screen.take(Ok(
        runtime.block_on(client.ask(&screen.query, &screen.view))?
    ));
    let mut terminal = ratatui::try_init()?;
    let ended = run(runtime, client, &mut screen, &mut terminal);
    ratatui::try_restore()?;
    ended
}

fn run(
    runtime: &tokio::runtime::Runtime,
    client: &Client,
    screen: &mut Screen,
    terminal: &mut ratatui::DefaultTerminal,
) -> Result<(), CommandError> {
    let mut asked = Instant::now();
    while !screen.is_over {
        terminal.draw(|frame| draw(screen, frame))?;
        let rest = EVERY.saturating_sub(asked.elapsed());
        let mut is_news = false;
        if event::poll(rest)?
            && let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            is_news = screen.press(key);
        }
        if is_news || asked.elapsed() >= EVERY {
            asked = Instant::now();
            let answers = runtime.block_on(client.ask(&screen.query, &screen.view));
            screen.take(answers);
        }
    }
    Ok(())
}

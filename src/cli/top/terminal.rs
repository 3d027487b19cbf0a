//! The terminal of `top`: asks the collector once a second, draws, and does what keys say.

use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::time::Instant;

use super::{client::Client, draw::draw, screen::Screen};
use crate::{cli::CommandError, overview::TargetQuery};

/// How often the collector is asked.
const EVERY: Duration = Duration::from_secs(1);

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

//! What a terminal of 80 columns and 24 lines shows, and what keys do.

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};
use serde_json::json;

use super::{client::Answers, draw::draw, screen::Screen, view::View};
use crate::overview::{Sort, TargetQuery};

fn row(name: &str, state: &str) -> serde_json::Value {
    let cause = (state != "fresh").then(
        || json!({"endpoint": "/mixnodes", "type": "timeout", "message": "no answer within 1 s"}),
    );
    json!({
        "name": name, "receiver": "betanet", "url": "http://n:1", "definition": "betanet",
        "labels": {}, "up": state == "fresh", "state": state, "cause": cause,
        "breaker_for_seconds": null, "retry_in_seconds": (state == "open").then_some(12.0),
        "fault_may_be_local": false, "age_seconds": 3.0, "last_poll_seconds_ago": 1.0,
        "next_poll_in_seconds": 14.0, "last_poll_duration_seconds": 0.2,
        "response_times_seconds": [0.1, 0.2],
    })
}

fn answers() -> Answers {
    let fleet = json!({
        "headline": ["1 of 2 targets is fresh: 1 has an open breaker."], "version": "0",
        "uptime_seconds": 1.0, "targets": 2, "states": {"open": 1, "fresh": 1},
        "receivers": [], "destinations": [], "failing": [],
    });
    let rows = [row("mixnode\u{1b}[2J", "open"), row("node-2", "fresh")];
    let targets = json!({"total": 2, "matched": 2, "targets": rows, "next": null});
    let mut detail = row("mixnode", "open");
    for (key, value) in [
        ("host", json!({})),
        (
            "endpoints",
            json!([{"name": "a", "path": "/mixnodes", "age_seconds": null,
          "last_error": {"endpoint": "/mixnodes", "type": "timeout", "message": "slow"},
          "body_bytes": null, "response_times_seconds": []}]),
        ),
        ("metrics", json!([])),
        ("problems", json!([])),
        (
            "decisions",
            json!([{"number": 1, "at": "", "seconds_ago": 5, "endpoint": "/mixnodes",
          "instance": null, "event": "transition", "tone": "bad",
          "words": "the breaker of the host opened after 5 failures in a row"}]),
        ),
    ] {
        detail[key] = value;
    }
    Answers {
        fleet: serde_json::from_value(fleet).unwrap(),
        targets: serde_json::from_value(targets).unwrap(),
        detail: Some(serde_json::from_value(detail).unwrap()),
        graph: None,
    }
}

fn screen() -> Screen {
    let query = TargetQuery {
        sort: Sort::Worst,
        ..TargetQuery::default()
    };
    let mut screen = Screen::new(query, true);
    screen.take(Ok(answers()));
    screen
}

/// The lines of a terminal of 80 columns and 24 lines.
fn lines(screen: &Screen) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(screen, frame)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let cells = buffer.content().chunks(80);
    let lines = cells.map(|line| {
        line.iter()
            .map(ratatui::buffer::Cell::symbol)
            .collect::<String>()
    });
    lines.map(|line| line.trim_end().to_owned()).collect()
}

fn press(screen: &mut Screen, keys: &[KeyCode]) {
    for key in keys {
        screen.press(KeyEvent::new(*key, KeyModifiers::NONE));
    }
}

#[test]
fn the_fleet_fits_in_80_columns_and_commands_no_terminal() {
    let shown = lines(&screen());
    assert_eq!(shown[0], "1 of 2 targets is fresh: 1 has an open breaker.");
    assert!(shown[3].starts_with("STATE"), "{shown:#?}");
    assert!(shown[4].starts_with("✕ open"), "{shown:#?}");
    assert!(shown[4].contains("trial in 12 s"), "{shown:#?}");
    assert!(shown[4].contains("no answer within 1 s"), "{shown:#?}");
    assert!(shown[5].starts_with("✓ fresh"), "{shown:#?}");
    assert!(shown[23].ends_with("q quit"), "{shown:#?}");
    assert!(!shown.concat().contains('\u{1b}'));
}

#[test]
fn keys_find_sort_enter_and_go_back() {
    let mut screen = screen();
    let letters = ['/', 'N', 'o'].map(KeyCode::Char);
    press(&mut screen, &letters);
    assert_eq!((screen.query.text.as_str(), screen.is_typing), ("no", true));
    assert!(lines(&screen)[23].starts_with("/no_"));
    press(&mut screen, &[KeyCode::Enter, KeyCode::Char('s')]);
    assert_eq!((screen.is_typing, screen.query.sort), (false, Sort::Name));
    press(&mut screen, &[KeyCode::Down, KeyCode::Down, KeyCode::Enter]);
    assert_eq!(screen.view, View::Target("node-2".to_owned()));
    let shown = lines(&screen).join("\n");
    assert!(
        shown.contains("opened after 5 failures in a row"),
        "{shown}"
    );
    assert!(shown.contains("it hangs,"), "{shown}");
    press(&mut screen, &[KeyCode::Esc, KeyCode::Char('p')]);
    assert_eq!(screen.view, View::Pipelines);
    press(&mut screen, &[KeyCode::Char('p'), KeyCode::Esc]);
    assert_eq!(
        (screen.view.clone(), screen.query.text.as_str()),
        (View::Fleet, "")
    );
    press(&mut screen, &[KeyCode::Char('q')]);
    assert!(screen.is_over);
}

#[test]
fn what_was_shown_stays_when_the_collector_is_silent_and_the_screen_says_so() {
    let mut screen = screen();
    screen.take(Err("no collector answers".into()));
    let shown = lines(&screen);
    assert!(shown[4].starts_with("✕ open"), "{shown:#?}");
    assert_eq!(shown[23], "what is shown is old: no collector answers");
}

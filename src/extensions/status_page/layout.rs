//! What all pages have in common.

use maud::{DOCTYPE, Markup, html};

use super::assets::{ICON, SCRIPT, STYLE};
use crate::overview::words;

/// The pages that the navigation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Fleet,
    Pipelines,
    Discovery,
    Config,
}

const PLACES: [(Place, &str, &str); 4] = [
    (Place::Fleet, "/", "Fleet"),
    (Place::Pipelines, "/pipelines", "Pipelines"),
    (Place::Discovery, "/discovery", "Discovery"),
    (Place::Config, "/config", "Configuration"),
];

/// A whole page. `title` is what the tab says.
pub(super) fn page(place: Place, title: &str, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · betanet-collector" }
                link rel="icon" href=(ICON.url());
                link rel="stylesheet" href=(STYLE.url());
                script src=(SCRIPT.url()) defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.brand href="/" { "betanet-collector" }
                    nav aria-label="Pages" {
                        @for (of, path, name) in PLACES {
                            a href=(path) aria-current=[(of == place).then_some("page")] { (name) }
                        }
                    }
                    p #live role="status" data-keep { noscript { "Reload the page to see what is new." } }
                }
                main #main tabindex="-1" { (main) }
                footer { (footer()) }
            }
        }
    }
}

/// What a program can ask for the same.
fn footer() -> Markup {
    html! {
        "betanet-collector " (env!("CARGO_PKG_VERSION"))
        " · as JSON: " a href="/api/v1/fleet" { "fleet" }
        ", " a href="/api/v1/targets" { "targets" }
        ", " a href="/health" { "health" }
        " · " a href="/metrics" { "metrics" }
        " · press " kbd { "/" } " to search"
    }
}

/// How long ago something was, with the exact number of seconds on hover.
pub(super) fn ago(seconds: Option<f64>) -> Markup {
    html! {
        @match seconds {
            Some(seconds) => span title=(format!("{seconds} s")) { (words::ago(seconds)) },
            None => span.faint { "never" },
        }
    }
}

/// In which time something will be, or a dash.
pub(super) fn soon(seconds: Option<f64>) -> Markup {
    html! {
        @match seconds {
            Some(seconds) => (words::soon(seconds)),
            None => span.faint { "–" },
        }
    }
}

/// A span of time, or a dash.
pub(super) fn time(seconds: Option<f64>) -> Markup {
    html! {
        @match seconds {
            Some(seconds) => (words::span(seconds)),
            None => span.faint { "–" },
        }
    }
}

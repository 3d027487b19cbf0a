//! The configuration that runs.

use maud::{Markup, html};

use super::{
    Page, Pages,
    layout::{self, Place},
};
use crate::{
    http::Request,
    overview::{ComponentRow, ConfigLine, ConfigNote, words::ago},
};

pub(super) fn page(pages: &Pages, _: &Request) -> Page {
    let config = pages.overview.config();
    let loaded = pages.overview.now().duration_since(config.loaded);
    let loaded = ago(loaded.unwrap_or_default().as_secs_f64());
    let main = html! {
        h1 { "Configuration" }
        p { "Loaded " (loaded) ". What is faint is a default. Secrets are hidden." }
        @if let Some(last) = pages.overview.last_load() { (refused(&last)) }
        (notes(&config.notes))
        pre.config tabindex="0" aria-label="Configuration" {
            @for line in &config.lines { (shown(line)) }
        }
    };
    Page::ok(layout::page(Place::Config, "Configuration", &main))
}

/// Why the last reload was refused, if it was.
fn refused(last: &ComponentRow) -> Markup {
    html! {
        @if let Some(error) = &last.error {
            div.warning role="alert" {
                p { b { "The last reload was refused " (ago(last.for_seconds)) ", and this configuration goes on." } }
                pre { (error) }
            }
        }
    }
}

/// What `validate` and `simulate` say of it.
fn notes(notes: &[ConfigNote]) -> Markup {
    html! {
        @if !notes.is_empty() {
            section.notes {
                h2 { "What these settings mean together" }
                ul {
                    @for note in notes {
                        li.bad[note.is_warning] {
                            b { @if note.is_warning { "Warning" } @else { "Note" } } " "
                            code { (note.key) } " " (note.message)
                            @if let Some(place) = &note.place { " " span.faint { (place) } }
                        }
                    }
                }
            }
        }
    }
}

fn shown(line: &ConfigLine) -> Markup {
    html! {
        span.default[line.is_default] { (line.text) "\n" }
    }
}

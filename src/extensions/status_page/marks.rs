//! Small signs: the mark of a state, a line of response times, the fill of a queue.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::overview::{ComponentRow, TargetState, words};

/// What stands in a path as it is.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The width of a line of response times, in units of the drawing.
const LINE_WIDTH: f64 = 120.0;
/// Its height.
const LINE_HEIGHT: f64 = 24.0;

/// The mark of a state, with its sign and its word.
pub(super) fn state(state: TargetState) -> Markup {
    html! {
        span class=(format!("mark {}", state.name())) title=(state.meaning()) {
            span.sign aria-hidden="true" { (state.sign()) } " " (state.name())
        }
    }
}

/// The mark of a component.
pub(super) fn component(row: &ComponentRow) -> Markup {
    let (class, sign, word) = match (row.is_failing, row.status.as_str()) {
        (true, _) => ("failing", "!", "failing"),
        (false, "StatusStarting") => ("pending", "·", "starting"),
        (false, _) => ("fresh", "✓", "ok"),
    };
    html! {
        span class=(format!("mark {class}")) title=(row.status) {
            span.sign aria-hidden="true" { (sign) } " " (word)
        }
    }
}

/// The mark of what became of an address that a source names.
pub(super) fn result(name: &str) -> Markup {
    let (class, sign) = match name {
        "kept" => ("fresh", "✓"),
        "dropped" => ("pending", "–"),
        "other_shard" => ("pending", "→"),
        "duplicate" => ("late", "="),
        "over_limit" => ("failing", "!"),
        _ => ("open", "✕"),
    };
    html! {
        span class=(format!("mark {class}")) {
            span.sign aria-hidden="true" { (sign) } " " (name.replace('_', " "))
        }
    }
}

/// The page of a target.
pub(super) fn target_url(name: &str) -> String {
    format!("/targets/{}", utf8_percent_encode(name, IN_PATH))
}

/// A line of response times, oldest first. It begins at zero, so that its height says how long they
/// are beside the longest one.
pub(super) fn response_times(times: &[f64]) -> Markup {
    let longest = times.iter().copied().fold(0.0, f64::max);
    let (Some(last), true) = (times.last(), longest > 0.0) else {
        return html! { span.faint { "–" } };
    };
    let step = LINE_WIDTH / (times.len().max(2) - 1) as f64;
    let points: Vec<_> = times
        .iter()
        .enumerate()
        .map(|(at, time)| {
            let (x, y) = (
                at as f64 * step,
                LINE_HEIGHT - 1.0 - time / longest * (LINE_HEIGHT - 2.0),
            );
            format!("{x:.1},{y:.1}")
        })
        .collect();
    let told = format!(
        "The last answer took {}, the slowest of the last {} took {}.",
        words::span(*last),
        times.len(),
        words::span(longest)
    );
    html! {
        span.line title=(told) {
            svg viewBox=(format!("0 0 {LINE_WIDTH} {LINE_HEIGHT}")) preserveAspectRatio="none" aria-hidden="true" {
                polyline points=(points.join(" ")) {}
            }
            " " span.num { (words::span(*last)) }
        }
    }
}

/// How full something is, as a bar with words.
pub(super) fn fill(size: u64, capacity: u64) -> Markup {
    html! {
        meter min="0" max=(capacity) high=(capacity / 2) value=(size) title=(format!("{size} of {capacity}")) {}
    }
}

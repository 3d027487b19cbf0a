//! The whole fleet as a strip of cells, bad ones first.

use maud::{Markup, html};

use super::marks::target_url;
use crate::overview::{FleetSnapshot, TargetGlance, TargetState, words::count};

/// So many cells at most. Where there are more targets, those that are fresh share cells.
const CELLS: usize = 480;

/// So few targets have room for their names.
const NAMED: usize = 60;

/// The cells. They repeat what the table says, so a screen reader passes over them.
pub(super) fn strip(snapshot: &FleetSnapshot) -> Markup {
    let fresh = snapshot.count(TargetState::Fresh);
    let bad = snapshot.targets.len() - fresh;
    let alone = match snapshot.targets.len() <= CELLS {
        true => snapshot.targets.len(),
        false => bad.min(CELLS - CELLS / 4),
    };
    let (single, rest) = snapshot.targets.split_at(alone.min(snapshot.targets.len()));
    let share = rest
        .len()
        .div_ceil((CELLS - alone.min(CELLS)).max(1))
        .max(1);
    html! {
        div.strip.named[snapshot.targets.len() <= NAMED] aria-hidden="true" {
            @for seen in single { (cell(seen, snapshot.targets.len() <= NAMED)) }
            @for group in rest.chunks(share) { (group_cell(group)) }
        }
        @if share > 1 {
            p.note { "A cell without a sign stands for up to " (count(share, "target")) "." }
        }
    }
}

fn cell(seen: &TargetGlance, is_named: bool) -> Markup {
    let cause = seen.failure.as_ref().map(|(_, failure)| &*failure.message);
    let name = &seen.target.name;
    let told = match cause {
        Some(cause) if seen.state != TargetState::Fresh => format!("{name}: {cause}"),
        _ => format!("{name}: {}", seen.state.name()),
    };
    html! {
        a class=(format!("cell {}", seen.state.name())) href=(target_url(name)) title=(told)
            tabindex="-1" data-key=(name) {
            @if seen.state != TargetState::Fresh { (seen.state.sign()) }
            @if is_named { span.name { " " (name) } }
        }
    }
}

/// Several targets in one cell, in the color of the worst.
fn group_cell(group: &[TargetGlance]) -> Markup {
    let state = group.first().map_or(TargetState::Fresh, |seen| seen.state);
    html! {
        span class=(format!("cell many {}", state.name()))
            title=(format!("{}: {}", count(group.len(), "target"), state.name())) {}
    }
}

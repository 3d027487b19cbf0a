//! What a screen looks like. All of it fits in 80 columns and 24 lines.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Paragraph, Row, Table, TableState, Wrap},
};

use super::{
    once::{age, cause, next},
    screen::Screen,
    view::View,
};
use crate::overview::{
    Destination, GraphNode, PipelineGraph, TargetDetail, TargetRow, TargetState, advice,
    words::{ago, number, span},
};

/// Widths of the columns beside the name and the cause.
const STATE: usize = 9;
const AGE: usize = 9;
const NEXT: usize = 14;

/// Draws all of it.
pub(super) fn draw(screen: &Screen, frame: &mut Frame<'_>) {
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(screen, frame, head);
    let answers = screen.answers.as_ref();
    match &screen.view {
        View::Fleet => draw_table(screen, frame, body),
        View::Target(name) => match answers.and_then(|answers| answers.detail.as_ref()) {
            Some(detail) => draw_target(screen, detail, frame, body),
            None => {
                let text = format!("There is no target `{}`.", inert(name));
                frame.render_widget(Paragraph::new(text), body);
            }
        },
        View::Pipelines => {
            if let Some(graph) = answers.and_then(|answers| answers.graph.as_ref()) {
                draw_pipelines(screen, graph, frame, body);
            }
        }
    }
    draw_foot(screen, frame, foot);
}

fn draw_head(screen: &Screen, frame: &mut Frame<'_>, area: Rect) {
    let Some(answers) = &screen.answers else {
        return;
    };
    let fleet = &answers.fleet;
    let is_bad = fleet
        .states
        .keys()
        .any(|state| *state <= TargetState::Failing);
    let first = fleet.headline.first().map_or("", String::as_str);
    let more = fleet.headline.get(1..).unwrap_or_default().join(" ");
    let style = match is_bad {
        true => screen.style(Color::Red),
        false => screen.style(Color::Green),
    };
    let lines = [
        Line::styled(inert(first), style.add_modifier(Modifier::BOLD)),
        Line::raw(inert(&more)),
    ];
    let text = Paragraph::new(lines.to_vec()).wrap(Wrap { trim: true });
    frame.render_widget(text, area);
}

fn draw_table(screen: &Screen, frame: &mut Frame<'_>, area: Rect) {
    let head = ["STATE", "TARGET", "AGE", "NEXT", "CAUSE"].map(Cell::from);
    let names = screen.rows().iter().map(|row| row.name.chars().count());
    let name = names.max().unwrap_or(0).clamp(12, 32);
    let fixed = [STATE, name, AGE, NEXT];
    // The columns stand one apart.
    let rest = usize::from(area.width).saturating_sub(fixed.iter().sum::<usize>() + fixed.len());
    let rows = screen.rows().iter();
    let rows = rows.map(|row| table_row(screen, row, rest));
    let widths = fixed.into_iter().chain([rest]);
    let widths = widths.map(|width| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)));
    let table = Table::new(rows, widths)
        .header(Row::new(head).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(screen.selected);
    frame.render_stateful_widget(table, area, &mut state);
}

/// `rest` is the width of the last column.
fn table_row(screen: &Screen, row: &TargetRow, rest: usize) -> Row<'static> {
    let style = screen.state_style(row.state);
    let state = format!("{} {}", row.state.sign(), row.state.name());
    Row::new([
        Cell::from(Span::styled(state, style)),
        Cell::from(inert(&row.name)),
        Cell::from(age(row)),
        Cell::from(next(row)),
        Cell::from(cut(&inert(&cause(row)), rest)),
    ])
}

fn draw_target(screen: &Screen, detail: &TargetDetail, frame: &mut Frame<'_>, area: Rect) {
    let row = &detail.row;
    let state = format!("{} {}", row.state.sign(), row.state.name());
    let mut lines = vec![
        Line::from(vec![
            Span::styled(inert(&row.name), Style::new().add_modifier(Modifier::BOLD)),
            Span::raw("  "),
            Span::styled(state, screen.state_style(row.state)),
            Span::raw(format!("  {}", inert(&row.url))),
        ]),
        Line::raw(row.state.meaning()),
    ];
    if let Some(cause) = &row.cause {
        lines.push(Line::styled(
            inert(&cause.message),
            screen.style(Color::Red),
        ));
        lines.extend(advice(&cause.error_type).map(Line::raw));
    }
    if row.state == TargetState::Open {
        lines.push(Line::raw(format!("Next: {}", next(row))));
    }
    lines.push(Line::raw(""));
    for endpoint in &detail.endpoints {
        let age = endpoint.age_seconds.map_or_else(|| "never".to_owned(), ago);
        let error = endpoint.last_error.as_ref();
        let error = error.map_or_else(String::new, |error| format!("  {}", error.error_type));
        lines.push(Line::raw(format!(
            "{:<28} {age:<12}{error}",
            inert(&endpoint.path)
        )));
    }
    lines.push(Line::raw(""));
    for decision in &detail.decisions {
        let of = decision.endpoint.as_deref().unwrap_or_default();
        let at = span(decision.seconds_ago as f64);
        lines.push(Line::raw(format!(
            "{at:>12}  {} {}",
            inert(of),
            inert(&decision.words)
        )));
    }
    let text = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(text.scroll((screen.scroll, 0)), area);
}

fn draw_pipelines(screen: &Screen, graph: &PipelineGraph, frame: &mut Frame<'_>, area: Rect) {
    let mut lines = Vec::new();
    for pipeline in &graph.pipelines {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        lines.push(Line::styled(inert(&pipeline.id), bold));
        let nodes = graph.receivers.iter().chain(&graph.processors);
        let nodes = nodes.filter(|node| {
            let id = &node.component.id;
            pipeline.receivers.contains(id) || pipeline.processors.contains(id)
        });
        lines.extend(nodes.map(|node| node_line(screen, node)));
        for exporter in &graph.exporters {
            if pipeline.exporters.contains(&exporter.component.id) {
                push_exporter(&mut lines, screen, exporter);
            }
        }
        lines.push(Line::raw(""));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// A receiver or a processor, with the points that leave it.
fn node_line(screen: &Screen, node: &GraphNode) -> Line<'static> {
    let component = &node.component;
    let points = node.points_out.map_or_else(String::new, number);
    let rate = node
        .out_per_second
        .map_or_else(String::new, |rate| format!("{rate} / s"));
    let text = format!(
        "  {:<10} {:<24} {points:>12} points {rate:>12}",
        component.kind,
        inert(&component.id)
    );
    Line::styled(text, screen.component_style(component.is_failing))
}

/// An exporter, with its error below it.
fn push_exporter(lines: &mut Vec<Line<'static>>, screen: &Screen, exporter: &Destination) {
    let component = &exporter.component;
    let shown = match (exporter.sent, exporter.series) {
        (Some(sent), _) => format!(
            "{:>12} sent, {} held, {} lost",
            number(sent),
            number(exporter.held),
            number(exporter.lost())
        ),
        (None, Some(series)) => format!("{:>12} series shown", number(series)),
        (None, None) => String::new(),
    };
    let text = format!(
        "  {:<10} {:<24} {shown}",
        component.kind,
        inert(&component.id)
    );
    lines.push(Line::styled(
        text,
        screen.component_style(component.is_failing),
    ));
    let error = component.error.as_ref();
    lines.extend(error.map(|error| Line::raw(format!("    {}", inert(error)))));
}

fn draw_foot(screen: &Screen, frame: &mut Frame<'_>, area: Rect) {
    let text = match (&screen.error, screen.is_typing, &screen.view) {
        (Some(error), ..) => format!("what is shown is old: {}", inert(error)),
        (None, true, _) => format!("/{}_   enter: keep   esc: all targets", screen.query.text),
        (None, false, View::Fleet) => {
            let filter = match screen.query.text.as_str() {
                "" => String::new(),
                text => format!("   found by `{text}`"),
            };
            let sort = screen.query.sort.name();
            format!("/ find   s order: {sort}   enter target   p pipelines   q quit{filter}")
        }
        (None, false, View::Target(_)) => "esc back   ↑ ↓ more   p pipelines   q quit".to_owned(),
        (None, false, View::Pipelines) => "esc back   p pipelines   q quit".to_owned(),
    };
    let style = match screen.error {
        Some(_) => screen.style(Color::Red),
        None => Style::new(),
    };
    frame.render_widget(
        Paragraph::new(text).style(style.add_modifier(Modifier::REVERSED)),
        area,
    );
}

impl Screen {
    /// A color, where colors are wanted.
    fn style(&self, color: Color) -> Style {
        match self.has_color {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    fn state_style(&self, state: TargetState) -> Style {
        self.style(match state {
            TargetState::Open | TargetState::Failing => Color::Red,
            TargetState::Probing => Color::Magenta,
            TargetState::Partial | TargetState::Late => Color::Yellow,
            TargetState::Pending => Color::Gray,
            TargetState::Fresh => Color::Green,
        })
    }

    fn component_style(&self, is_failing: bool) -> Style {
        match is_failing {
            true => self.style(Color::Red),
            false => Style::new(),
        }
    }
}

/// A text in so many columns; a sign says that there is more.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let shown = text.chars().take(width.saturating_sub(1));
    shown.chain(['…']).collect()
}

/// A text that commands no terminal.
fn inert(text: &str) -> String {
    let shown = text.chars().map(|letter| match letter.is_control() {
        true => '\u{fffd}',
        false => letter,
    });
    shown.collect()
}

//! Writes a family for one scraper.

use super::{
    descriptor::FamilyDescriptor,
    escape::Escaping,
    labels::TargetLabels,
    name::{self, AggregationKind},
    negotiate::{OutputFormat, TextFormat},
    rows::{RowExemplar, RowView, SectionRows, Suffix},
    text::{self, SampleName},
};

/// A family in one output format.
pub(super) struct FamilyWriter<'a> {
    family: &'a FamilyDescriptor,
    form: OutputFormat,
    /// The names of its samples, by suffix.
    names: [SampleName; 5],
    /// The name in the lines above its samples.
    title: String,
    /// The type in the TYPE line.
    word: &'static str,
}

impl<'a> FamilyWriter<'a> {
    /// Prepares the family for the output format. `is_free` says whether no other family has its
    /// name in OpenMetrics. A counter whose name is taken has no type there, so that it still has
    /// samples.
    pub(super) fn new(family: &'a FamilyDescriptor, form: OutputFormat, is_free: bool) -> Self {
        let name = form.escaping.name(&family.name);
        let open = family.kind.open_name(&name);
        let open = open.filter(|_| form.format == TextFormat::OpenMetrics && is_free);
        let open = open.map(str::to_owned);
        let word = match (family.kind, form.format, &open) {
            (AggregationKind::Counter, TextFormat::OpenMetrics, None) => "unknown",
            (AggregationKind::Info, TextFormat::OpenMetrics, Some(_)) => "info",
            (AggregationKind::Info, ..) => "gauge",
            (kind, ..) => kind.word(),
        };
        let title = open.unwrap_or_else(|| name.clone().into_owned());
        Self {
            family,
            form,
            names: Suffix::ALL.map(|suffix| match suffix {
                Suffix::Created => SampleName::new(&format!("{title}{}", suffix.text())),
                _ => SampleName::new(&format!("{name}{}", suffix.text())),
            }),
            title,
            word,
        }
    }

    /// Appends the lines above the samples.
    pub(super) fn write_header(&self, out: &mut String) {
        let header = text::Header {
            name: &self.title,
            kind: self.word,
            unit: name::ends_with_unit(&self.title, &self.family.unit),
            help: &self.family.help,
        };
        header.write(out, self.form.format);
    }

    /// Appends the samples of a section of `rows`. `target` has the labels of the target.
    pub(super) fn write(&self, out: &mut String, section: SectionRows<'_>, target: &TargetLabels) {
        let is_odd = section.is_odd() || target.is_odd();
        let renames = is_odd && self.form.escaping != Escaping::AllowUtf8;
        let has_created = self.has_created();
        for view in section.iter() {
            let RowView { row, labels, .. } = view;
            if row.suffix == Suffix::Created && !has_created {
                continue;
            }
            let labels = match row.is_complete {
                true => [labels, ""],
                false => [target.text(), labels],
            };
            let [.., name] = &self.names;
            let name = self.names.get(row.suffix as usize).unwrap_or(name);
            match renames {
                true => name.write(out, [&self.escaped(labels), ""]),
                false => name.write(out, labels),
            }
            text::number(out, view.number);
            if let Some(time) = view.time {
                out.push(' ');
                text::time(out, time, self.form.format);
            }
            if let Some(exemplar) = view.exemplar {
                self.write_exemplar(out, exemplar);
            }
            out.push('\n');
        }
    }

    /// Appends an exemplar. OpenMetrics has them for totals whose type it knows.
    fn write_exemplar(&self, out: &mut String, exemplar: &RowExemplar) {
        if self.form.format == TextFormat::OpenMetrics && self.word == "counter" {
            let RowExemplar { trace, time, .. } = exemplar;
            let (trace, span) = (trace.trace_id, trace.span_id);
            // One event counts as 1.
            out.push_str(&format!(
                " # {{trace_id=\"{trace}\",span_id=\"{span}\"}} 1 "
            ));
            text::seconds(out, *time);
        }
    }

    /// The rendered labels with escaped names.
    fn escaped(&self, labels: [&str; 2]) -> String {
        let labels: Vec<_> = labels.into_iter().filter(|part| !part.is_empty()).collect();
        self.form.escaping.labels(&labels.join(",")).into_owned()
    }

    /// Whether lines with start times are shown. OpenMetrics has them for its types.
    fn has_created(&self) -> bool {
        self.form.format == TextFormat::OpenMetrics && matches!(self.word, "counter" | "histogram")
    }
}

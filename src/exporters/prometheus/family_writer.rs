//! Writes a family for one scraper. The stored text has label names for scrapers that need no
//! escaping.

use super::{
    descriptor::FamilyDescriptor,
    escape::Escaping,
    lines::{self, Exemplar, KeptLabels},
    name::{self, AggregationKind},
    output_format::{OutputFormat, TextFormat},
    rendered_source::{CREATED, Fragment},
    text::{self, SampleName},
};

/// A family in one output format.
pub(super) struct FamilyWriter<'a> {
    pub(super) family: &'a FamilyDescriptor,
    form: OutputFormat,
    /// The name of its samples.
    lead: SampleName,
    /// The name of the lines with the start time of a total, without `_created`.
    created: SampleName,
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
            lead: SampleName::new(&name),
            created: SampleName::new(&title),
            title,
            word,
        }
    }

    /// The lines above the samples.
    pub(super) fn header(&self) -> String {
        let mut header = String::new();
        text::Header {
            name: &self.title,
            kind: self.word,
            unit: name::ends_with_unit(&self.title, &self.family.unit),
            help: &self.family.help,
        }
        .write(&mut header, self.form.format);
        header
    }

    /// Appends the samples of a fragment. `common` are the labels of the target.
    pub(super) fn write(&self, out: &mut String, fragment: Fragment<'_>, common: &str) {
        let renames = fragment.is_odd && self.form.escaping != Escaping::AllowUtf8;
        let has_created = self.has_created();
        // OpenMetrics has exemplars for totals whose type it knows.
        let has_exemplars = self.form.format == TextFormat::OpenMetrics && self.word == "counter";
        for line in lines::split(fragment.text) {
            let lead = match line.suffix {
                CREATED if !has_created => continue,
                CREATED => &self.created,
                _ => &self.lead,
            };
            let labels = match line.labels {
                KeptLabels::Own(own) => [common, own],
                KeptLabels::All(all) => [all, ""],
            };
            if renames {
                let labels = self.escaped(labels);
                lead.write(out, line.suffix, [&labels, ""], line.value);
            } else {
                lead.write(out, line.suffix, labels, line.value);
            }
            if let Some(time) = line.time {
                out.push(' ');
                out.push_str(&time.behind_value(self.form.format));
            }
            if let Some(Exemplar {
                trace_id,
                span_id,
                time,
            }) = line.exemplar
                && has_exemplars
            {
                let labels = format!("{{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}}");
                // One event counts as 1.
                out.push_str(&format!(" # {labels} 1 {time}"));
            }
            out.push('\n');
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

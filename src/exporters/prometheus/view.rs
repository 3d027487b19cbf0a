//! A family as one scraper reads it. What is kept are all lines with the names that metrics and
//! labels have where nothing needs escaping; for most scrapers and families that is the answer.

use std::borrow::Cow;

use super::{
    descriptor::Descriptor,
    escape::Escaping,
    lines,
    name::{self, Kind},
    negotiate::Format,
    page::{Details, Fragment},
    text,
};

/// What distinguishes the answers to two scrapers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The format.
    pub format: Format,
    /// How names are written that not every scraper knows.
    pub escaping: Escaping,
}

/// A family in a form.
pub(super) struct View<'a> {
    pub(super) family: &'a Descriptor,
    form: Form,
    /// What its samples are called.
    name: Cow<'a, str>,
    /// What it is called above its samples.
    title: String,
    /// The word of the TYPE line.
    word: &'static str,
}

impl<'a> View<'a> {
    /// The family in the form; `is_free` says whether it may have its name in OpenMetrics. A counter
    /// that may not has no type there, rather than no samples.
    pub(super) fn new(family: &'a Descriptor, form: Form, is_free: bool) -> Self {
        let name = form.escaping.name(&family.name);
        let open = family.kind.open_name(&name);
        let open = open.filter(|_| form.format == Format::OpenMetrics && is_free);
        let open = open.map(str::to_owned);
        let word = match (family.kind, form.format, &open) {
            (Kind::Counter, Format::OpenMetrics, None) => "unknown",
            (Kind::Info, Format::OpenMetrics, Some(_)) => "info",
            (Kind::Info, ..) => "gauge",
            (kind, ..) => kind.word(),
        };
        Self {
            family,
            form,
            title: open.unwrap_or_else(|| name.clone().into_owned()),
            name,
            word,
        }
    }

    /// What stands above the samples.
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

    /// The samples of a fragment.
    pub(super) fn samples<'f>(&self, fragment: Fragment<'f>) -> Cow<'f, str> {
        let Details {
            is_odd,
            time,
            has_created,
        } = fragment.details;
        let renames = is_odd && self.form.escaping != Escaping::AllowUtf8;
        let drops = has_created && !self.has_created();
        if !renames && !drops && time.is_none() {
            return Cow::Borrowed(fragment.text);
        }
        let time = time.map(|time| time.behind_value(self.form.format));
        let mut out = String::with_capacity(fragment.text.len());
        for line in fragment.text.split_terminator('\n') {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            if drops && self.is_created(series) {
                continue;
            }
            if renames {
                self.rename(&mut out, series);
            } else {
                out.push_str(series);
            }
            for piece in [Some(value), time.as_deref()].into_iter().flatten() {
                out.push(' ');
                out.push_str(piece);
            }
            out.push('\n');
        }
        Cow::Owned(out)
    }

    /// Whether lines are shown that say when a total began: OpenMetrics has them for its types.
    fn has_created(&self) -> bool {
        self.form.format == Format::OpenMetrics && matches!(self.word, "counter" | "histogram")
    }

    fn is_created(&self, series: &str) -> bool {
        let (name, _) = lines::split_series(series);
        name != self.family.name && name.ends_with("_created")
    }

    /// Appends what stands for a series.
    fn rename(&self, out: &mut String, series: &str) {
        let (name, labels) = lines::split_series(series);
        match name.strip_prefix(&*self.family.name) {
            Some(suffix) => {
                out.push_str(&self.name);
                out.push_str(suffix);
            }
            // Of a counter: its name there is that of the family.
            None => {
                out.push_str(&self.title);
                out.push_str("_created");
            }
        }
        let labels = self.form.escaping.labels(labels);
        if !labels.is_empty() {
            out.push('{');
            out.push_str(&labels);
            out.push('}');
        }
    }
}

//! What one source of a target gives: one text, in sections, one a family.

/// Number of a target.
pub(super) type TargetId = u32;
/// Number of a family.
pub(super) type FamilyId = u32;

/// Where series of a target come from: 0 for what we say of the target ourselves, n + 1 for
/// endpoint n of its definition. All series of one source are replaced together.
pub(super) type SeriesSource = u32;
/// What we say of the target ourselves.
pub(super) const OWN: SeriesSource = 0;

/// What stands behind the name of a family where a line says when a total began.
pub(super) const CREATED: &str = "_created";

/// A page as it is shown.
#[derive(Debug, Default)]
pub(super) struct RenderedSource {
    pub(super) text: Box<str>,
    pub(super) sections: Box<[Section]>,
    /// Hashes of the labels of all series.
    pub(super) series: Box<[u64]>,
    /// Whether a label is called what not every scraper knows.
    pub(super) is_odd: bool,
}

/// The lines of one family; they begin where those of the section before end.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) family: FamilyId,
    pub(super) text_end: u32,
    pub(super) series_end: u32,
}

/// What a page says of one family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    pub(super) text: &'a str,
    pub(super) series: &'a [u64],
    /// Whether a label in the page is called what not every scraper knows.
    pub(super) is_odd: bool,
}

impl RenderedSource {
    /// The families, in their order.
    pub(super) fn families(&self) -> impl Iterator<Item = FamilyId> {
        self.sections.iter().map(|section| section.family)
    }

    /// The number of series.
    pub(super) fn count(&self) -> usize {
        self.series.len()
    }

    /// What it says of a family.
    pub(super) fn fragment(&self, family: FamilyId) -> Option<Fragment<'_>> {
        let mut sections = self.sections.iter();
        let at = sections.position(|section| section.family == family)?;
        let section = self.sections.get(at)?;
        let before = at.checked_sub(1).and_then(|at| self.sections.get(at));
        let (text, series) = before.map_or((0, 0), |of| (of.text_end, of.series_end));
        Some(Fragment {
            text: self.text.get(text as usize..section.text_end as usize)?,
            series: self
                .series
                .get(series as usize..section.series_end as usize)?,
            is_odd: self.is_odd,
        })
    }
}

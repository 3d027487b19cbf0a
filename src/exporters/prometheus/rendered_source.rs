//! The rendered text of one source of a target, in sections, one for each family.

/// The number of a target.
pub(super) type TargetId = u32;
/// The number of a family.
pub(super) type FamilyId = u32;

/// The source of series in a target: 0 for the collector's own metrics about the target, n + 1 for
/// the endpoint n of its definition. All series of one source are replaced together.
pub(super) type SeriesSource = u32;
/// The source of the collector's own metrics about the target.
pub(super) const OWN: SeriesSource = 0;

/// The suffix of a line with the start time of a total.
pub(super) const CREATED: &str = "_created";

/// A page as it is shown.
#[derive(Debug, Default)]
pub(super) struct RenderedSource {
    pub(super) text: Box<str>,
    pub(super) sections: Box<[Section]>,
    /// Hashes of the labels of all series.
    pub(super) series: Box<[u64]>,
    /// Whether a label name needs UTF-8 quoting.
    pub(super) is_odd: bool,
}

/// The lines of one family. They start where those of the previous section end.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) family: FamilyId,
    pub(super) text_end: u32,
    pub(super) series_end: u32,
}

/// The part of a page for one family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    pub(super) text: &'a str,
    pub(super) series: &'a [u64],
    /// Whether a label name in the page needs UTF-8 quoting.
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

    /// The part of the page for a family.
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

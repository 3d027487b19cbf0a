//! Decides which of the new series of a target are shown: each needs a family, and no other series
//! of the target may have the same labels.

use std::collections::HashSet;

use super::{
    DroppedPoints,
    draft::{Draft, SourceDraft},
    families::Families,
    rows::{FamilyId, Layout, SourceKey, TargetKey},
};

/// The reason for a series that another one with the same labels hides.
const DUPLICATE: &str = "duplicate_series";

/// Gives the series of a source the families that the source had. It leaves the others.
pub(super) fn inherit(
    source: &SourceKey,
    old: &Layout,
    new: Option<&mut SourceDraft>,
    families: &mut Families,
) {
    let sections = new.map_or(&mut [][..], |new| &mut new.sections);
    for section in &old.sections {
        let same = sections
            .iter_mut()
            .find(|new| families.is(section.family, &new.descriptor));
        match same {
            Some(same) => same.family = Ok(section.family),
            None => families.remove(section.family, source),
        }
    }
}

/// Finds a family for each section without one, and removes series that cannot be shown: those
/// without a family, and those that a source in `others` or earlier in the draft has too.
pub(super) fn place<'l>(
    target: &TargetKey,
    draft: &mut Draft,
    others: impl Iterator<Item = &'l Layout>,
    families: &mut Families,
) -> Vec<DroppedPoints> {
    let sections = draft.sources.iter_mut();
    let sections =
        sections.flat_map(|(id, of)| of.sections.iter_mut().map(|section| (*id, section)));
    let mut new: Vec<_> = sections
        .filter(|(_, section)| section.family.is_err())
        .collect();
    new.sort_by_key(|(_, section)| section.rank);
    for (source, section) in new {
        section.family = families.admit(target.source(source), &section.descriptor);
    }
    let mut shown: HashSet<_> = others.flat_map(Layout::series).collect();
    let mut dropped = Vec::new();
    for source in draft.sources.values_mut() {
        source.identify();
        remove(source, &mut shown, &mut dropped);
    }
    dropped
}

/// Removes the series of a source that cannot be shown, and adds the others to `shown`.
fn remove(
    source: &mut SourceDraft,
    shown: &mut HashSet<(FamilyId, u64)>,
    dropped: &mut Vec<DroppedPoints>,
) {
    let (mut kept, mut start) = (Vec::new(), 0);
    for section in &source.sections {
        let series = start..section.series_end;
        start = section.series_end;
        let before = kept.len();
        let reason = match section.family {
            Ok(family) => {
                kept.extend(
                    series
                        .clone()
                        .filter(|series| shown.insert((family, source.id(*series)))),
                );
                DUPLICATE
            }
            Err(reason) => reason,
        };
        let points = series.len() - (kept.len() - before);
        if points > 0 {
            dropped.push(DroppedPoints {
                family: section.descriptor.name.clone(),
                points,
                reason,
            });
        }
    }
    if kept.len() < start {
        source.arrange(&kept, &mut SourceDraft::default());
        source.sections.retain(|section| section.family.is_ok());
    }
}

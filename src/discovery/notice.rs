//! Says why a receiver polls none of the targets that its sources name.

use super::discovery_result::{DiscoveryResult, ResultCounts};

/// Why none is polled, given what became of the targets of each source, and whether there ever was
/// a target. None if one is, or if all of them are the share of other collectors.
pub(super) fn notice(counts: &[ResultCounts], had_targets: bool) -> Option<String> {
    let sum = |result: DiscoveryResult| -> u64 {
        let counts = counts.iter();
        counts
            .filter_map(|counts| counts.get(result as usize))
            .sum()
    };
    let named: u64 = counts.iter().flatten().sum();
    if named == 0 {
        return Some(match had_targets {
            true => "its sources name no target any more".to_owned(),
            false => "its sources have named no target since the start".to_owned(),
        });
    }
    if sum(DiscoveryResult::Kept) > 0 || sum(DiscoveryResult::OtherShard) == named {
        return None;
    }
    let results = DiscoveryResult::ALL.into_iter();
    let results = results.map(|result| (result.name(), sum(result)));
    let results = results.filter(|(_, count)| *count > 0);
    let results: Vec<_> = results
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let results = results.join(", ");
    Some(format!(
        "none of the {named} targets that its sources name is polled: {results}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_why_nothing_is_polled() {
        let never = "its sources have named no target since the start";
        let none_of_7 = "none of the 7 targets that its sources name is polled: \
                         4 dropped, 1 other_shard, 2 invalid";
        for (counts, had_targets, expected) in [
            ([0; 6], false, Some(never)),
            ([0; 6], true, Some("its sources name no target any more")),
            ([1, 4, 0, 0, 0, 0], true, None),
            ([0, 4, 1, 0, 0, 2], true, Some(none_of_7)),
            // One collector of three has no share of two targets: that is no mistake.
            ([0, 0, 2, 0, 0, 0], true, None),
        ] {
            assert_eq!(notice(&[counts], had_targets).as_deref(), expected);
        }
    }
}

//! Targets that are polled already go before others that want their name or their place.
//!
//! Lists come in any order and new targets join anywhere in them. Without this, one that joins
//! would move the border of `target_limit`, and of two addresses of one name the polled one would
//! change: two nodes' counters in one series.

use std::collections::BTreeMap;

use super::{Address, DiscoveredTarget};

/// The targets that are polled already and still named, by name.
#[derive(Debug, Default)]
pub(super) struct Incumbents<'p> {
    still_named: BTreeMap<&'p str, StillNamed<'p>>,
    /// How many of them have not got their place yet.
    reserved: usize,
}

/// How a target that is polled is still named.
#[derive(Debug, Clone, Copy)]
enum StillNamed<'p> {
    /// At the address where it is polled.
    At(&'p Address),
    /// At other addresses only: it moved.
    Elsewhere,
}

impl<'p> Incumbents<'p> {
    /// Those of the `polled` targets that are among the `named` ones.
    pub(super) fn among(
        polled: &'p [DiscoveredTarget],
        named: impl Iterator<Item = DiscoveredTarget>,
    ) -> Self {
        let polled = polled.iter().map(|target| (target.name.as_str(), target));
        let polled: BTreeMap<&str, &DiscoveredTarget> = polled.collect();
        let mut still_named = BTreeMap::new();
        for target in named {
            let Some((name, before)) = polled.get_key_value(target.name.as_str()) else {
                continue;
            };
            let how = still_named.entry(*name).or_insert(StillNamed::Elsewhere);
            if target.located == before.located {
                *how = StillNamed::At(&before.located);
            }
        }
        Self {
            reserved: still_named.len(),
            still_named,
        }
    }

    /// Whether `target` has to leave its name to a target that is polled at another address.
    pub(super) fn outrank(&self, target: &DiscoveredTarget) -> bool {
        match self.still_named.get(target.name.as_str()) {
            Some(StillNamed::At(polled)) => target.located != **polled,
            Some(StillNamed::Elsewhere) | None => false,
        }
    }

    /// How many of `free` places are left for a target of this name.
    pub(super) fn leave(&self, name: &str, free: usize) -> usize {
        match self.still_named.contains_key(name) {
            true => free,
            false => free.saturating_sub(self.reserved),
        }
    }

    /// The target of this name has its place now.
    pub(super) fn seated(&mut self, name: &str) {
        if self.still_named.contains_key(name) {
            self.reserved = self.reserved.saturating_sub(1);
        }
    }
}

//! What the sources of a receiver name, address by address, for people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which addresses are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressFilter {
    /// Only those whose address, or one of whose labels before relabeling, has this text, which is
    /// in lower case.
    pub text: String,
    /// Only those with one of these results; all if there is none.
    pub results: Vec<String>,
    /// Only those of this source.
    pub source: Option<String>,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How many are left out at the beginning.
    pub skip: usize,
    /// How many follow at most.
    pub limit: usize,
}

/// A part of the addresses.
#[derive(Debug, Default)]
pub struct AddressList {
    /// How many addresses the sources name.
    pub total: usize,
    /// How many of them the filter takes.
    pub matched: usize,
    /// Those in the window, in the order of the sources.
    pub addresses: Vec<DiscoveredAddress>,
}

/// An address that a source names. Fields are added, never renamed or taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveredAddress {
    /// The place of the source in the configuration, such as `file_sd_configs/0`.
    pub source: String,
    /// The address as the source names it.
    pub address: String,
    /// What became of it, such as `kept` or `dropped`.
    pub result: String,
    /// Why it is not polled; none for `kept`.
    pub why: Option<String>,
    /// The name of the target that it is, or would be; none without one.
    pub target: Option<String>,
    /// The labels before relabeling.
    pub before: BTreeMap<String, String>,
    /// The labels after relabeling, without those that only rules use; empty if a rule drops it.
    pub after: BTreeMap<String, String>,
}

//! What becomes of what the sources name.

/// What becomes of a target, or of an instance of a pool, that a source names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveryResult {
    /// It is polled here.
    Kept,
    /// A rule of `relabel_configs` dropped it.
    Dropped,
    /// Another collector polls it.
    OtherShard,
    /// A target of this name is polled already, or the pool has this address already.
    Duplicate,
    /// There are `target_limit` targets already, or as many instances of its pool as can be.
    OverLimit,
    /// It, or its whole entry, makes no sense.
    Invalid,
}

impl DiscoveryResult {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Kept,
        Self::Dropped,
        Self::OtherShard,
        Self::Duplicate,
        Self::OverLimit,
        Self::Invalid,
    ];

    /// What it is called in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Dropped => "dropped",
            Self::OtherShard => "other_shard",
            Self::Duplicate => "duplicate",
            Self::OverLimit => "over_limit",
            Self::Invalid => "invalid",
        }
    }
}

/// How many targets of one source have which result, in the order of [`DiscoveryResult::ALL`].
pub(super) type ResultCounts = [u64; DiscoveryResult::ALL.len()];

//! What becomes of what the sources name.

/// What becomes of a target, or of an instance of a pool, that a source names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
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

impl Fate {
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

/// How many targets of one source have which fate, in the order of [`Fate::ALL`].
pub(super) type Counts = [u64; Fate::ALL.len()];

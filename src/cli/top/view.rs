//! What is looked at.

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// All targets.
    Fleet,
    /// The target of this name.
    #[cfg_attr(
        not(feature = "top"),
        expect(dead_code, reason = "only a screen looks there")
    )]
    Target(String),
    /// The components.
    #[cfg_attr(
        not(feature = "top"),
        expect(dead_code, reason = "only a screen looks there")
    )]
    Pipelines,
}

//! A set of instances of a target, by their positions.

/// The most instances of a target.
pub const INSTANCES_MAX: usize = 64;

/// A set of instances. It cannot contain those beyond [`INSTANCES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Instances(u64);

impl Instances {
    /// Only this instance.
    pub fn of(instance: usize) -> Self {
        let bit = u32::try_from(instance)
            .ok()
            .and_then(|at| 1_u64.checked_shl(at));
        Self(bit.unwrap_or_default())
    }

    /// The first `count` instances.
    pub fn first_ones(count: usize) -> Self {
        (0..count.min(INSTANCES_MAX)).collect()
    }

    /// Whether the instance is in the set.
    pub fn has(self, instance: usize) -> bool {
        !self.and(Self::of(instance)).is_empty()
    }

    /// The union of both sets.
    pub fn with(self, those: Self) -> Self {
        Self(self.0 | those.0)
    }

    /// The set without `those`.
    pub fn without(self, those: Self) -> Self {
        Self(self.0 & !those.0)
    }

    /// The intersection of both sets.
    pub fn and(self, those: Self) -> Self {
        Self(self.0 & those.0)
    }

    /// The number of instances.
    pub fn count(self) -> usize {
        self.iter().count()
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The instance with the lowest position.
    pub fn first(self) -> Option<usize> {
        self.iter().next()
    }

    /// The instance after `before` others.
    pub fn nth(self, before: usize) -> Option<usize> {
        self.iter().nth(before)
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        (0..INSTANCES_MAX).filter(move |instance| self.0 >> instance & 1 == 1)
    }
}

impl FromIterator<usize> for Instances {
    fn from_iter<I: IntoIterator<Item = usize>>(instances: I) -> Self {
        instances
            .into_iter()
            .fold(Self::default(), |all, instance| {
                all.with(Self::of(instance))
            })
    }
}

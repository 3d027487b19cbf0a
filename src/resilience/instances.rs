//! Some of the instances of a target, by their positions.

/// The most instances that a target may have.
pub const INSTANCES_MAX: usize = 64;

/// A set of instances. Those beyond [`INSTANCES_MAX`] are in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Instances(u64);

impl Instances {
    /// This one alone.
    pub fn of(instance: usize) -> Self {
        let bit = u32::try_from(instance)
            .ok()
            .and_then(|at| 1_u64.checked_shl(at));
        Self(bit.unwrap_or_default())
    }

    /// As many as this from the first one on.
    pub fn first_ones(count: usize) -> Self {
        (0..count.min(INSTANCES_MAX)).collect()
    }

    /// Whether it is among them.
    pub fn has(self, instance: usize) -> bool {
        !self.and(Self::of(instance)).is_empty()
    }

    /// These and those.
    pub fn with(self, those: Self) -> Self {
        Self(self.0 | those.0)
    }

    /// These that are none of those.
    pub fn without(self, those: Self) -> Self {
        Self(self.0 & !those.0)
    }

    /// These that are also of those.
    pub fn and(self, those: Self) -> Self {
        Self(self.0 & those.0)
    }

    /// How many they are.
    pub fn count(self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The one with the lowest position.
    pub fn first(self) -> Option<usize> {
        self.iter().next()
    }

    /// The one with so many of them before it.
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

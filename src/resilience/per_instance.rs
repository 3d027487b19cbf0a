//! One value for each instance of a target.

use super::positions::Positions;

/// The first value is stored inline: nearly every target is one instance, and should not need
/// memory for others.
#[derive(Debug, Clone, Default)]
pub struct PerInstance<T> {
    first: T,
    others: Box<[T]>,
}

impl<T> PerInstance<T> {
    /// The value of the only instance.
    pub fn one(first: T) -> Self {
        Self::new(first, [])
    }

    /// The values of several instances, in the order of their positions.
    pub fn new(first: T, others: impl IntoIterator<Item = T>) -> Self {
        let others = others.into_iter().collect();
        Self { first, others }
    }

    /// Has a value for each of these instances, of which there is at least one.
    pub fn arrange(&mut self, instances: &Positions)
    where
        T: Default,
    {
        let before = std::mem::take(self).into_values();
        let mut values = instances.arrange(before, T::default).into_iter();
        *self = Self::new(values.next().unwrap_or_default(), values);
    }

    /// Converts each value.
    pub fn map<U>(&self, mut make: impl FnMut(&T) -> U) -> PerInstance<U> {
        PerInstance {
            first: make(&self.first),
            others: self.others.iter().map(make).collect(),
        }
    }

    /// Each value with the one of another list at the same position.
    pub fn zip<'a, U>(&'a self, other: &'a PerInstance<U>) -> PerInstance<(&'a T, &'a U)> {
        PerInstance {
            first: (&self.first, &other.first),
            others: self.others.iter().zip(&other.others).collect(),
        }
    }

    /// Converts each value, unless this fails for one of them.
    ///
    /// # Errors
    /// The first error of `make`.
    pub fn try_map<U, E>(
        &self,
        mut make: impl FnMut(&T) -> Result<U, E>,
    ) -> Result<PerInstance<U>, E> {
        Ok(PerInstance {
            first: make(&self.first)?,
            others: self.others.iter().map(make).collect::<Result<_, E>>()?,
        })
    }

    /// The value of the instance at this position, which must exist.
    pub fn at(&self, position: usize) -> &T {
        let other = position.checked_sub(1).and_then(|at| self.others.get(at));
        other.unwrap_or(&self.first)
    }

    /// The mutable value of the instance at this position.
    pub fn at_mut(&mut self, position: usize) -> &mut T {
        let other = position.checked_sub(1);
        match other.and_then(|at| self.others.get_mut(at)) {
            Some(other) => other,
            None => &mut self.first,
        }
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// All values, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }

    /// All values, by value.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        std::iter::once(self.first).chain(self.others)
    }

    /// The number of instances; at least one.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// Whether there is more than one instance.
    pub fn are_several(&self) -> bool {
        !self.others.is_empty()
    }
}

//! Values with a small number for as long as they exist.

/// Values by their numbers. A free number is given to the next value.
#[derive(Debug)]
pub(super) struct Slab<T> {
    values: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// Adds a value and returns its number.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            // Memory is full long before there are no more numbers.
            u32::try_from(self.values.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(slot) = self.values.get_mut(number as usize) {
            *slot = Some(value);
        }
        number
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.values.get(number as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.values.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let value = self.values.get_mut(number as usize)?.take();
        if value.is_some() {
            self.free.push(number);
        }
        value
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        let numbered = (0..).zip(&mut self.values);
        numbered.filter_map(|(number, value)| Some((number, value.as_mut()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_reused_after_its_value_was_removed() {
        let mut slots = Slab::default();
        let numbers = ["a", "b", "c"].map(|value| slots.insert(value));
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!((slots.remove(1), slots.remove(1)), (Some("b"), None));
        assert_eq!((slots.get(1), slots.get(7)), (None, None));
        assert_eq!(slots.insert("d"), 1);
        assert_eq!(slots.insert("e"), 3);
        let all: Vec<_> = slots
            .iter_mut()
            .map(|(number, value)| (number, *value))
            .collect();
        assert_eq!(all, [(0, "a"), (1, "d"), (2, "c"), (3, "e")]);
    }
}

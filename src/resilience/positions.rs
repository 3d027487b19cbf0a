//! Where the entries of a list were in the list before it.

/// For each entry of a list, its position in the list before. `None` for a new entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions(Vec<Option<usize>>);

impl Positions {
    /// The positions of the keys `now` among the keys `before`, by `is_same`.
    pub fn of<K>(now: &[K], before: &[K], is_same: impl Fn(&K, &K) -> bool) -> Self {
        let was = |key| before.iter().position(|before| is_same(key, before));
        Self(now.iter().map(was).collect())
    }

    /// This number of new entries.
    pub fn all_new(count: usize) -> Self {
        Self(vec![None; count])
    }

    /// Where the entry is that was at a position. `None` if it is gone.
    pub fn now_at(&self, was: usize) -> Option<usize> {
        self.0.iter().position(|before| *before == Some(was))
    }

    /// The values of the entries that stay, at their new positions, and `new` values for the
    /// others. Values of entries that are gone are dropped.
    pub fn arrange<T>(
        &self,
        values: impl IntoIterator<Item = T>,
        mut new: impl FnMut() -> T,
    ) -> Box<[T]> {
        let mut values: Vec<_> = values.into_iter().map(Some).collect();
        let mut kept = |was: usize| values.get_mut(was)?.take();
        let before = self.0.iter();
        before
            .map(|was| was.and_then(&mut kept).unwrap_or_else(&mut new))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_entries_that_stay_move_and_the_others_are_new() {
        let (before, now) = (["a", "b", "c"], ["c", "x", "a"]);
        let positions = Positions::of(&now, &before, |now, before| now == before);
        assert_eq!(*positions.arrange([1, 2, 3], || 0), [3, 0, 1]);
        assert_eq!(*positions.arrange([], || 0), [0, 0, 0]);
        let places = [0, 1, 2].map(|was| positions.now_at(was));
        assert_eq!(places, [Some(2), None, Some(0)]);
        assert_eq!(*Positions::all_new(2).arrange([1, 2], || 0), [0, 0]);
    }
}

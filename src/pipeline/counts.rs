//! Counts of a few things.

/// Counts by key, in the order of the keys. A target has several of these with one or two keys each,
/// for which a map would take ten times the memory.
#[derive(Debug, Clone)]
pub struct Counts<K>(Box<[(K, u64)]>);

impl<K: Ord> Counts<K> {
    /// Adds to the count of a key. That of a new one begins at zero.
    pub fn add(&mut self, key: K, more: u64) {
        match self.0.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(at) => {
                if let Some((_, count)) = self.0.get_mut(at) {
                    *count += more;
                }
            }
            Err(at) => {
                let mut counts = std::mem::take(&mut self.0).into_vec();
                counts.reserve_exact(1);
                counts.insert(at, (key, more));
                self.0 = counts.into();
            }
        }
    }

    /// All counts, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, u64)> {
        self.0.iter().map(|(key, count)| (key, *count))
    }

    /// First the counts of these keys, which are zero where nothing was counted, then the others:
    /// what is always shown needs no memory before it happens.
    pub fn with<'c>(&'c self, always: &'c [K]) -> impl Iterator<Item = (&'c K, u64)> {
        let count = |key| self.iter().find(|(known, _)| *known == key);
        let shown = always.iter();
        let shown = shown.map(move |key| (key, count(key).map_or(0, |(_, count)| count)));
        shown.chain(self.iter().filter(|(key, _)| !always.contains(key)))
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<K: Ord> FromIterator<(K, u64)> for Counts<K> {
    fn from_iter<T: IntoIterator<Item = (K, u64)>>(counts: T) -> Self {
        let mut all = Self::default();
        for (key, count) in counts {
            all.add(key, count);
        }
        all
    }
}

impl<K: Ord> IntoIterator for Counts<K> {
    type Item = (K, u64);
    type IntoIter = std::vec::IntoIter<(K, u64)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_vec().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_count_and_a_place() {
        let mut counts = Counts::from_iter([("b", 0), ("d", 0)]);
        for key in ["c", "a", "c", "d"] {
            counts.add(key, 1);
        }
        let shown: Vec<_> = counts.with(&["x", "c"]).collect();
        assert_eq!(
            shown,
            [(&"x", 0), (&"c", 2), (&"a", 1), (&"b", 0), (&"d", 1)]
        );
        let all: Vec<_> = counts.into_iter().collect();
        assert_eq!(all, [("a", 1), ("b", 0), ("c", 2), ("d", 1)]);
    }
}

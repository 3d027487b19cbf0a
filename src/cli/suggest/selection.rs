//! Which values are wanted.

/// Which values are wanted, by the names that lead to them.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    /// Only what one of these patterns matches; everything if there is none.
    pub(super) only: Vec<String>,
    /// Nothing that one of these matches.
    pub(super) without: Vec<String>,
}

impl Selection {
    /// Whether the value that these names lead to is wanted.
    pub(super) fn has(&self, keys: &[String]) -> bool {
        let is_any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, keys));
        (self.only.is_empty() || is_any(&self.only)) && !is_any(&self.without)
    }
}

/// Whether a pattern matches these names, or the last ones of them.
fn matches(pattern: &str, keys: &[String]) -> bool {
    let pattern = pattern.strip_prefix("$.").unwrap_or(pattern);
    (0..keys.len()).any(|first| {
        let ends = keys.get(first..).unwrap_or_default();
        is_like(pattern, &ends.join("."))
    })
}

/// Whether a text is like a pattern, in which `*` stands for any letters.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pattern.split('*').skip(1).last() else {
        return rest.is_empty();
    };
    let between = pattern.matches('*').count() - 1;
    for part in parts.take(between) {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_end_of_a_path() {
        let keys = ["head", "minTime"].map(str::to_owned);
        for (pattern, expected) in [
            ("minTime", true),
            ("head.minTime", true),
            ("$.head.minTime", true),
            ("head.*", true),
            ("*Time", true),
            ("m*i*e", true),
            ("*", true),
            ("Time", false),
            ("head", false),
            ("head.*x", false),
            ("min*min*", false),
            ("minTime*e", false),
            ("", false),
        ] {
            assert_eq!(matches(pattern, &keys), expected, "{pattern}");
        }
        let of = |only: &[&str], without: &[&str]| Selection {
            only: only.iter().map(|of| (*of).to_owned()).collect(),
            without: without.iter().map(|of| (*of).to_owned()).collect(),
        };
        assert!(of(&[], &[]).has(&keys));
        assert!(!of(&["x"], &[]).has(&keys));
        assert!(!of(&["head.*"], &["minTime"]).has(&keys));
    }
}

//! "Did you mean": suggests the probable meaning of a misspelled word.

/// The candidate nearest to `word`, if it is near enough for a misspelling: at most a third of its
/// letters may differ, and always one.
pub fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let lower = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The words as a list in a sentence: `a`, `b`, `c`, in their order.
pub fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_near() {
        let keys = ["timeout", "endpoint", "tls"];
        assert_eq!(nearest("timout", &keys), Some("timeout"));
        assert_eq!(nearest("Endpoint", &keys), Some("endpoint"));
        assert_eq!(nearest("collection", &keys), None);
        assert_eq!(nearest("x", &["y"]), None);
        assert_eq!(nearest("", &keys), None);
    }
}

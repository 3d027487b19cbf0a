//! The order in which people expect names: `node-2` before `node-10`.

/// A text whose order of bytes is the natural order of `name`. Each number becomes its length and
/// its digits, so that a longer one comes later. Leading zeros count only where all else is equal.
pub(super) fn natural_key(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 4);
    let mut rest = name.as_bytes();
    while let Some(first) = rest.first() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            key.push(*first);
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let (number, after) = rest.split_at(digits);
        let zeros = number.iter().take_while(|byte| **byte == b'0').count();
        let number = number.get(zeros..).unwrap_or_default();
        // A number stands where digits stand among letters.
        key.push(b'0');
        key.push(u8::try_from(number.len()).unwrap_or(u8::MAX));
        key.extend(number);
        rest = after;
    }
    key.push(0);
    key.extend(name.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        let mut names = [
            "node-10",
            "node-2",
            "node-02",
            "node-1",
            "node",
            "node-2b",
            "node-2a10",
            "node-2a9",
            "10.0.0.10:80",
            "10.0.0.9:80",
            "Node-3",
            "a",
            "",
        ];
        names.sort_by_key(|name| natural_key(name));
        assert_eq!(
            names,
            [
                "",
                "10.0.0.9:80",
                "10.0.0.10:80",
                "Node-3",
                "a",
                "node",
                "node-1",
                "node-02",
                "node-2",
                "node-2a9",
                "node-2a10",
                "node-2b",
                "node-10",
            ]
        );
    }

    proptest! {
        #[test]
        fn different_names_have_different_keys(one in "[a0-9]{0,6}", other in "[a0-9]{0,6}") {
            prop_assert_eq!(natural_key(&one) == natural_key(&other), one == other);
        }
    }
}

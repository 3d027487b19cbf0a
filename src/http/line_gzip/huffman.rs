//! Huffman codes with a longest length, as DEFLATE needs them (RFC 1951 §3.2.2).

/// The longest code of a literal, a length or a distance.
pub(super) const CODE_MAX: u8 = 15;

/// The code of a symbol, with its first bit lowest, and its length in bits. A length of 0 is no
/// code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) bits: u16,
    pub(super) length: u8,
}

/// The best codes for symbols that occur so often, none of them longer than `longest`. There is at
/// least one code, because a decoder wants one.
pub(super) fn codes<const N: usize>(counts: &[u32; N], longest: u8) -> [Code; N] {
    let mut used: Vec<(u32, usize)> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(symbol, count)| (*count, symbol))
        .collect();
    used.sort_unstable();
    let mut codes = [Code::default(); N];
    if used.len() < 2 {
        let only = used.first().map_or(0, |(_, symbol)| *symbol);
        codes[only].length = 1;
        return codes;
    }
    let weights: Vec<u32> = used.iter().map(|(count, _)| *count).collect();
    let mut rarest = used.iter();
    let by_length = limited(&depths(&weights), longest);
    for length in (1..=longest).rev() {
        for (_, symbol) in rarest.by_ref().take(by_length[usize::from(length)]) {
            codes[*symbol].length = length;
        }
    }
    assign(&mut codes);
    codes
}

/// The depth of each leaf in Huffman's tree. The weights ascend, so two queues are enough: the
/// leaves, and the nodes in the order in which they are made.
fn depths(weights: &[u32]) -> Vec<usize> {
    let leaves = weights.len();
    let (mut weights, mut parents) = (weights.to_vec(), vec![0; 2 * leaves - 1]);
    let (mut leaf, mut node) = (0, leaves);
    for made in leaves..parents.len() {
        let mut sum = 0;
        for _ in 0..2 {
            let is_leaf = leaf < leaves && (node >= made || weights[leaf] <= weights[node]);
            let next = if is_leaf { &mut leaf } else { &mut node };
            sum += weights[*next];
            parents[*next] = made;
            *next += 1;
        }
        weights.push(sum);
    }
    let mut depths = vec![0; parents.len()];
    for at in (0..parents.len() - 1).rev() {
        depths[at] = depths[parents[at]] + 1;
    }
    depths.truncate(leaves);
    depths
}

/// The number of codes by length. Codes that are too long get the longest length, and others become
/// longer for it until all fit.
fn limited(depths: &[usize], longest: u8) -> Vec<usize> {
    let longest = usize::from(longest);
    let mut by_length = vec![0_usize; longest + 1];
    for depth in depths {
        by_length[(*depth).min(longest)] += 1;
    }
    let taken = by_length.iter().enumerate();
    let taken: usize = taken
        .map(|(length, number)| number << (longest - length))
        .sum();
    for _ in (1 << longest)..taken {
        by_length[longest] -= 1;
        if let Some(shorter) = (1..longest).rev().find(|length| by_length[*length] > 0) {
            by_length[shorter] -= 1;
            by_length[shorter + 1] += 2;
        }
    }
    by_length
}

/// Gives the symbols their codes: in the order of length, then of symbol.
fn assign(codes: &mut [Code]) {
    let mut next = 0_u16;
    for length in 1..=CODE_MAX {
        next <<= 1;
        for code in codes.iter_mut().filter(|code| code.length == length) {
            code.bits = next.reverse_bits() >> (16 - u16::from(length));
            next = next.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The part of all codes that is used: 1 if none is missing and none is there twice.
    fn used<const N: usize>(codes: &[Code; N]) -> f64 {
        let lengths = codes.iter().filter(|code| code.length > 0);
        lengths
            .map(|code| 0.5_f64.powi(i32::from(code.length)))
            .sum()
    }

    #[test]
    fn a_frequent_symbol_has_a_short_code() {
        let codes = codes(&[8, 1, 0, 1, 3], CODE_MAX);
        assert_eq!(codes.map(|code| code.length), [1, 3, 0, 3, 2]);
        assert_eq!(codes.map(|code| code.bits), [0b0, 0b011, 0, 0b111, 0b01]);
    }

    #[test]
    fn one_symbol_or_none_has_a_code_of_one_bit() {
        assert_eq!(codes(&[0, 0], 7).map(|code| code.length), [1, 0]);
        assert_eq!(codes(&[0, 9], 7).map(|code| code.length), [0, 1]);
    }

    proptest! {
        #[test]
        fn codes_are_complete_and_not_too_long(
            // Like Fibonacci's numbers, these make the deepest trees.
            counts in prop::array::uniform19((0_u32..24).prop_map(|power| (1 << power) / 2)),
            longest in 5_u8..=15,
        ) {
            prop_assume!(counts.iter().filter(|count| **count > 0).count() > 1);
            let codes = codes(&counts, longest);
            prop_assert!((used(&codes) - 1.0).abs() < 1e-12);
            for (code, count) in codes.iter().zip(counts) {
                prop_assert_eq!(code.length > 0, count > 0);
                prop_assert!(code.length <= longest);
            }
        }
    }
}

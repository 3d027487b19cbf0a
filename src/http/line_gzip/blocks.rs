//! DEFLATE (RFC 1951): literals and matches in blocks with codes of their own.

use super::huffman::{self, CODE_MAX, Code};

/// The shortest match that the format has.
pub(super) const MATCH_MIN: usize = 3;
/// The longest match that the format has.
pub(super) const MATCH_MAX: usize = 258;
/// The longest distance that the format has.
pub(super) const WINDOW: usize = 32 * 1024;

/// The most tokens of a block, which bounds its memory.
const TOKENS: usize = 16 * 1024;

/// The fewest tokens of a block, unless the text ends.
const WORTHY: usize = 1024;

/// The symbol of the end of a block. Those of lengths follow it.
const END: usize = 256;
const LITERALS: usize = 286;
const DISTANCES: usize = 30;

/// The number of symbols that describe code lengths, and their order.
const LENGTHS: usize = 19;
const ORDER: [usize; LENGTHS] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];
/// The longest code of a code length.
const LENGTH_CODE_MAX: u8 = 7;

/// Literals and matches of the current block, and the bytes of those before it.
#[derive(Debug)]
pub(super) struct Blocks {
    out: Vec<u8>,
    /// Bits that are not in `out` yet, and how many they are: fewer than 32.
    bits: u64,
    filled: u32,
    tokens: Vec<Token>,
    /// How often each symbol occurs.
    literals: [u32; LITERALS],
    distances: [u32; DISTANCES],
}

/// A literal, or a length and a distance, by their symbols.
#[derive(Debug, Clone, Copy)]
struct Token {
    symbol: u16,
    length_extra: u8,
    /// Of a match; not used for a literal.
    distance: u8,
    distance_extra: u16,
}

/// A symbol, and the number behind it: its bits, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Symbol {
    symbol: u8,
    extra: u16,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            out: Vec::new(),
            bits: 0,
            filled: 0,
            tokens: Vec::new(),
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
        }
    }
}

impl Blocks {
    /// Appends one byte.
    pub(super) fn literal(&mut self, byte: u8) {
        self.literals[usize::from(byte)] += 1;
        self.push(Token {
            symbol: u16::from(byte),
            length_extra: 0,
            distance: 0,
            distance_extra: 0,
        });
    }

    /// Appends a copy of `length` bytes that are `distance` bytes back, both within their limits.
    pub(super) fn copy(&mut self, length: usize, distance: usize) {
        let length = length_symbol(length);
        let far = distance_symbol(distance);
        let symbol = 257 + u16::from(length.symbol);
        self.literals[usize::from(symbol)] += 1;
        self.distances[usize::from(far.symbol)] += 1;
        self.push(Token {
            symbol,
            // A length has at most five bits more.
            length_extra: length.extra.to_le_bytes()[0],
            distance: far.symbol,
            distance_extra: far.extra,
        });
    }

    fn push(&mut self, token: Token) {
        self.tokens.push(token);
        if self.tokens.len() >= TOKENS {
            self.end_block();
        }
    }

    /// Writes the block if it is so large that its codes are worth their bytes.
    pub(super) fn end_large_block(&mut self) {
        if self.tokens.len() >= WORTHY {
            self.end_block();
        }
    }

    /// Writes the block. The last bits wait for the next one.
    pub(super) fn end_block(&mut self) {
        if self.tokens.is_empty() {
            return;
        }
        self.literals[END] += 1;
        let literals = huffman::codes(&self.literals, CODE_MAX);
        let distances = huffman::codes(&self.distances, CODE_MAX);
        self.write_head(&literals, &distances);
        let mut tokens = std::mem::take(&mut self.tokens);
        for token in tokens.drain(..) {
            self.write(token, &literals, &distances);
        }
        self.put_code(literals[END]);
        *self = Self {
            out: std::mem::take(&mut self.out),
            bits: self.bits,
            filled: self.filled,
            tokens,
            ..Self::default()
        };
    }

    /// The bytes that are complete.
    pub(super) fn taken(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// All bytes that are left. Nothing comes after them.
    pub(super) fn finished(&mut self) -> Vec<u8> {
        self.end_block();
        // An empty block with fixed codes, which is the last one.
        self.put(0b011, 3);
        self.put(0, 7);
        let bytes = self.bits.to_le_bytes();
        let left = self.filled.div_ceil(8) as usize;
        self.out.extend(bytes.iter().take(left));
        (self.bits, self.filled) = (0, 0);
        self.taken()
    }

    fn write(&mut self, token: Token, literals: &[Code; LITERALS], distances: &[Code; DISTANCES]) {
        let symbol = usize::from(token.symbol);
        self.put_code(literals[symbol]);
        if symbol > END {
            let (_, bits) = LENGTH_BASES[symbol - END - 1];
            self.put(u64::from(token.length_extra), bits);
            self.put_code(distances[usize::from(token.distance)]);
            let bits = distance_bits(token.distance);
            self.put(u64::from(token.distance_extra), bits);
        }
    }

    /// Writes the codes of a block, by their lengths.
    fn write_head(&mut self, literals: &[Code; LITERALS], distances: &[Code; DISTANCES]) {
        let literals = used(literals, END + 1);
        let distances = used(distances, 1);
        let lengths = literals.iter().chain(distances).map(|code| code.length);
        let runs = runs(&lengths.collect::<Vec<_>>());
        let mut counts = [0; LENGTHS];
        for run in &runs {
            counts[usize::from(run.symbol)] += 1;
        }
        let codes = huffman::codes(&counts, LENGTH_CODE_MAX);
        let ordered = ORDER.map(|symbol| codes[symbol]);
        let ordered = used(&ordered, 4);
        // Not the last block, with codes of its own.
        self.put(0b100, 3);
        for (number, least, bits) in [
            (literals.len(), 257, 5),
            (distances.len(), 1, 5),
            (ordered.len(), 4, 4),
        ] {
            self.put((number - least) as u64, bits);
        }
        for code in ordered {
            self.put(u64::from(code.length), 3);
        }
        for run in runs {
            self.put_code(codes[usize::from(run.symbol)]);
            let bits = match run.symbol {
                16 => 2,
                17 => 3,
                18 => 7,
                _ => 0,
            };
            self.put(u64::from(run.extra), bits);
        }
    }

    fn put_code(&mut self, code: Code) {
        self.put(u64::from(code.bits), u32::from(code.length));
    }

    /// Appends up to 32 bits, the lowest first.
    fn put(&mut self, bits: u64, count: u32) {
        self.bits |= bits << self.filled;
        self.filled += count;
        if self.filled >= 32 {
            let [a, b, c, d, ..] = self.bits.to_le_bytes();
            self.out.extend_from_slice(&[a, b, c, d]);
            self.bits >>= 32;
            self.filled -= 32;
        }
    }
}

/// The codes up to the last one that is used, and at least so many.
fn used(codes: &[Code], least: usize) -> &[Code] {
    let last = codes.iter().rposition(|code| code.length > 0);
    let number = last.map_or(0, |last| last + 1).max(least);
    codes.get(..number).unwrap_or(codes)
}

/// Code lengths as symbols: 16 repeats the length before, 17 and 18 repeat 0.
fn runs(lengths: &[u8]) -> Vec<Symbol> {
    let mut runs = Vec::new();
    let mut repeat = |symbol, number: usize, least: usize| {
        let extra = u16::try_from(number - least).unwrap_or_default();
        runs.push(Symbol { symbol, extra });
    };
    for run in lengths.chunk_by(|one, next| one == next) {
        let (length, mut left) = (run[0], run.len());
        if length > 0 {
            repeat(length, 0, 0);
            left -= 1;
        }
        while left >= 3 {
            let (symbol, least, most) = match (length, left) {
                (1.., _) => (16, 3, 6),
                (0, ..11) => (17, 3, 10),
                (0, _) => (18, 11, 138),
            };
            let number = left.min(most);
            repeat(symbol, number, least);
            left -= number;
        }
        for _ in 0..left {
            repeat(length, 0, 0);
        }
    }
    runs
}

/// The shortest length of each symbol, and how many bits more it has.
const LENGTH_BASES: [(u16, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// The symbol of each length from [`MATCH_MIN`] on.
const LENGTH_SYMBOLS: [u8; 256] = {
    let mut symbols = [0; 256];
    let (mut length, mut symbol) = (3_u16, 0_u8);
    while length <= 258 {
        if (symbol as usize) < 28 && LENGTH_BASES[symbol as usize + 1].0 <= length {
            symbol += 1;
        }
        symbols[length as usize - 3] = symbol;
        length += 1;
    }
    symbols
};

fn length_symbol(length: usize) -> Symbol {
    let symbol = LENGTH_SYMBOLS[length - MATCH_MIN];
    let (base, _) = LENGTH_BASES[usize::from(symbol)];
    let length = u16::try_from(length).unwrap_or_default();
    Symbol {
        symbol,
        extra: length - base,
    }
}

fn distance_symbol(distance: usize) -> Symbol {
    let place = u16::try_from(distance - 1).unwrap_or_default();
    let Some(log) = place.checked_ilog2().filter(|log| *log > 0) else {
        let symbol = u8::from(place == 1);
        return Symbol { symbol, extra: 0 };
    };
    // Two symbols for each power of two.
    let bits = log - 1;
    let half = (place >> bits) & 1;
    let symbol = 2 * u16::try_from(log).unwrap_or_default() + half;
    Symbol {
        symbol: symbol.to_le_bytes()[0],
        extra: place & ((1 << bits) - 1),
    }
}

/// How many bits more the symbol of a distance has.
fn distance_bits(symbol: u8) -> u32 {
    (u32::from(symbol) / 2).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first length or distance of a symbol, by the table of RFC 1951 §3.2.5.
    #[test]
    fn symbols_are_those_of_the_specification() {
        let length = |length| {
            let Symbol { symbol, extra } = length_symbol(length);
            (257 + u16::from(symbol), extra)
        };
        for (of, expected) in [
            (3, (257, 0)),
            (10, (264, 0)),
            (11, (265, 0)),
            (12, (265, 1)),
            (114, (279, 15)),
            (115, (280, 0)),
            (257, (284, 30)),
            (258, (285, 0)),
        ] {
            assert_eq!(length(of), expected, "{of}");
        }
        for (of, symbol, extra, bits) in [
            (1, 0, 0, 0),
            (2, 1, 0, 0),
            (3, 2, 0, 0),
            (4, 3, 0, 0),
            (5, 4, 0, 1),
            (6, 4, 1, 1),
            (7, 5, 0, 1),
            (192, 14, 63, 6),
            (193, 15, 0, 6),
            (24_577, 29, 0, 13),
            (32_768, 29, 8191, 13),
        ] {
            assert_eq!(distance_symbol(of), Symbol { symbol, extra }, "{of}");
            assert_eq!(distance_bits(symbol), bits, "{of}");
        }
    }

    #[test]
    fn lengths_of_codes_are_written_in_runs() {
        let written = |lengths: &[u8]| -> Vec<_> {
            let runs = runs(lengths).into_iter();
            runs.map(|run| (run.symbol, run.extra)).collect()
        };
        assert_eq!(
            written(&[5, 5, 5, 5, 2, 2]),
            [(5, 0), (16, 0), (2, 0), (2, 0)]
        );
        assert_eq!(written(&[0; 150]), [(18, 127), (18, 1)]);
        assert_eq!(written(&[0; 141]), [(18, 127), (17, 0)]);
        assert_eq!(written(&[0, 0, 7]), [(0, 0), (0, 0), (7, 0)]);
    }
}

//! gzip for text whose lines resemble each other, such as a scrape.
//!
//! A general compressor searches all of the last 32 KiB for what comes next. In a scrape it is
//! nearly always the line before, so only that is compared. This needs about half the time of
//! the fastest general level, and the result is half as large (`cargo bench --bench scrape`). Other
//! text stays correct and becomes larger.

mod blocks;
mod huffman;

use flate2::Crc;

use self::blocks::{Blocks, MATCH_MAX, MATCH_MIN, WINDOW};

/// The header of a stream without a name and a time, made for speed (RFC 1952).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// A shorter repetition needs about as many bits as its bytes.
const WORTH: usize = 4;

/// How far a repetition may have moved within its line, in bytes: the value of a label, such as the
/// name of a host, is so much longer or shorter than in the line before.
const SHIFT: usize = 24;

/// Compresses text piece by piece.
pub(super) struct LineGzip {
    /// The last text that a match may refer to, and the current piece.
    text: Vec<u8>,
    /// How far back the text is that the next one is compared with. Without a line before, it is the
    /// last byte.
    distance: usize,
    blocks: Blocks,
    check: Crc,
    is_begun: bool,
}

impl LineGzip {
    pub(super) fn new() -> Self {
        Self {
            text: Vec::new(),
            distance: 1,
            blocks: Blocks::default(),
            check: Crc::new(),
            is_begun: false,
        }
    }

    /// The compressed output for `piece`, as far as it is a block. The rest comes later.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.check.update(piece);
        self.text.drain(..self.text.len().saturating_sub(WINDOW));
        let from = self.text.len();
        self.text.extend_from_slice(piece);
        self.compress(from);
        self.blocks.end_large_block();
        let deflated = self.blocks.taken();
        self.begun(deflated)
    }

    /// The rest of the output.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let rest = self.blocks.finished();
        let mut out = self.begun(rest);
        out.extend_from_slice(&self.check.sum().to_le_bytes());
        out.extend_from_slice(&self.check.amount().to_le_bytes());
        out
    }

    fn begun(&mut self, deflated: Vec<u8>) -> Vec<u8> {
        match std::mem::replace(&mut self.is_begun, true) {
            true => deflated,
            false => [&HEADER[..], &deflated].concat(),
        }
    }

    /// Compresses the text from a position on.
    fn compress(&mut self, from: usize) {
        let Self {
            text,
            distance,
            blocks,
            ..
        } = self;
        let mut at = from;
        while let Some(byte) = text.get(at).copied() {
            let length = repeated(text, at, *distance);
            if length >= WORTH {
                copy(blocks, length, *distance);
                at += length;
                continue;
            }
            blocks.literal(byte);
            at += 1;
            match byte {
                b'\n' => *distance = since_line_start(text, at),
                b'"' => *distance = moved(text, at - 1, *distance).unwrap_or(*distance),
                _ => {}
            }
        }
    }
}

/// How many bytes from `at` on are the same as those before them by `distance`.
fn repeated(text: &[u8], at: usize, distance: usize) -> usize {
    let (Some(before), Some(next)) = (
        at.checked_sub(distance).and_then(|from| text.get(from..)),
        text.get(at..),
    ) else {
        return 0;
    };
    let words = before
        .as_chunks::<8>()
        .0
        .iter()
        .zip(next.as_chunks::<8>().0);
    let mut same = 0;
    for (before, next) in words {
        let differs = u64::from_le_bytes(*before) ^ u64::from_le_bytes(*next);
        if differs != 0 {
            return same + differs.trailing_zeros() as usize / 8;
        }
        same += 8;
    }
    let rest = before.iter().zip(next).skip(same);
    same + rest.take_while(|(before, next)| before == next).count()
}

/// A copy of any length, in matches that are neither too short nor too long.
fn copy(blocks: &mut Blocks, length: usize, distance: usize) {
    let mut left = length;
    while left > 0 {
        let one = match left {
            _ if left <= MATCH_MAX => left,
            _ if left < MATCH_MAX + MATCH_MIN => MATCH_MAX - MATCH_MIN,
            _ => MATCH_MAX,
        };
        blocks.copy(one, distance);
        left -= one;
    }
}

/// The length of the line that ends before `at`. 1 if it is too long for a match.
fn since_line_start(text: &[u8], at: usize) -> usize {
    let line = text.get(..at - 1).unwrap_or_default();
    let length = line.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    if length <= WINDOW { length } else { 1 }
}

/// The distance to the text of `at` in the line before, which may have moved a little.
fn moved(text: &[u8], at: usize, distance: usize) -> Option<usize> {
    let sought = text.get(at..at + WORTH)?;
    let expected = at.checked_sub(distance)?;
    let from = expected.saturating_sub(SHIFT);
    let to = (expected + SHIFT).min(at);
    let mut windows = text.get(from..to)?.windows(WORTH);
    let found = windows.rposition(|window| window == sought)?;
    let distance = at - (from + found);
    (distance <= WINDOW).then_some(distance)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn compressed(pieces: &[Vec<u8>]) -> Vec<u8> {
        let mut gzip = LineGzip::new();
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| gzip.push(piece)).collect();
        out.extend(gzip.finish());
        out
    }

    fn assert_same(pieces: &[Vec<u8>]) -> usize {
        let bytes = compressed(pieces);
        let mut read = Vec::new();
        GzDecoder::new(&bytes[..]).read_to_end(&mut read).unwrap();
        assert!(read == pieces.concat(), "{} pieces", pieces.len());
        bytes.len()
    }

    /// The lines of one family, in two pieces.
    fn scrape(target: impl Fn(u32) -> String) -> [Vec<u8>; 2] {
        let line = |n: u32| {
            let value = f64::from(n % 1000) / 1000.0;
            format!(
                "betanet_latency_seconds{{target=\"{}\"}} {value}\n",
                target(n)
            )
        };
        [0..700, 700..1500].map(|of| of.map(line).collect::<String>().into_bytes())
    }

    #[test]
    fn a_scrape_becomes_smaller_than_by_a_general_compressor() {
        for target in [
            |n| format!("node-{n:05}.example.com:9000"),
            |n| format!("10.0.{}.{}:9000", n / 250, n % 250),
        ] {
            let pieces = scrape(target);
            let mut general = Vec::new();
            flate2::read::GzEncoder::new(&pieces.concat()[..], flate2::Compression::new(2))
                .read_to_end(&mut general)
                .unwrap();
            let bytes = assert_same(&pieces);
            assert!(bytes < general.len(), "{bytes} of {}", general.len());
        }
    }

    #[test]
    fn any_text_can_be_read_back() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut noise = |bytes: usize| -> Vec<u8> { (0..bytes).map(|_| rng.u8(..)).collect() };
        for pieces in [
            vec![],
            vec![Vec::new()],
            vec![b"\n".to_vec()],
            vec![vec![b'a'; 100_000]],
            vec![noise(200_000)],
            // A line that is longer than the window, twice.
            vec![[noise(40_000), b"\n".to_vec()].concat().repeat(2)],
            vec![b"\"\n".repeat(10_000), noise(10), b"\"\n".repeat(3)],
        ] {
            assert_same(&pieces);
        }
    }

    #[test]
    fn every_length_of_a_copy_is_split_into_matches() {
        for length in 1..1200 {
            let line = [vec![b'x'; length], b"\n".to_vec()].concat();
            assert_same(&[line.repeat(3)]);
        }
    }

    proptest! {
        #[test]
        fn any_lines_in_any_pieces_can_be_read_back(
            lines in prop::collection::vec("[ab\"]{0,3}[a-c\"\n]{0,9}[\"é]?\n?", 0..60),
            cut in 1_usize..50,
        ) {
            let text = lines.concat().into_bytes();
            let pieces: Vec<_> = text.chunks(cut).map(<[u8]>::to_vec).collect();
            assert_same(&pieces);
        }
    }
}

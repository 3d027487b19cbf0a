//! The frame around everything in a log: a mark by which it is found in a file whose structure is
//! lost, and a checksum that detects damage.
//!
//! ```text
//! mark 7 | kind 1 | CRC-32 of kind, length and content 4 | length 4 | content
//! ```

use flate2::Crc;

/// No text has these bytes, so that no name or label of a target looks like a frame.
const MARK: [u8; 7] = [0xff, 0xb7, 0xe7, 0xfe, 0x8b, 0xf5, 0xff];

/// The number of bytes before the content.
pub(super) const HEAD_BYTES: usize = MARK.len() + 1 + 4 + 4;

/// The kind of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// A part of a record.
    Part = 1,
    /// The summary of the log.
    Summary = 2,
}

/// Wraps the content, which is all `pieces` one after the other, in a frame.
pub(super) fn wrap(kind: FrameKind, pieces: &[&[u8]]) -> Vec<u8> {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut frame = Vec::with_capacity(HEAD_BYTES + length);
    frame.extend_from_slice(&MARK);
    frame.push(kind as u8);
    frame.extend_from_slice(&[0; 4]);
    // A content that does not fit into a row of a log does not fit into a frame either.
    frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    for piece in pieces {
        frame.extend_from_slice(piece);
    }
    let sum = checksum(kind as u8, &frame[MARK.len() + 5..]);
    frame[MARK.len() + 1..MARK.len() + 5].copy_from_slice(&sum.to_le_bytes());
    frame
}

/// The content of the frame at the start of `bytes`, if there is a complete one.
pub(super) fn unwrap(bytes: &[u8]) -> Option<(FrameKind, &[u8])> {
    let rest = bytes.strip_prefix(&MARK)?;
    let (kind, rest) = rest.split_first()?;
    let (sum, summed) = rest.split_first_chunk()?;
    let (length, content) = summed.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let content = content.get(..length)?;
    let is_whole = checksum(*kind, summed.get(..4 + length)?) == u32::from_le_bytes(*sum);
    let kind = [FrameKind::Part, FrameKind::Summary]
        .into_iter()
        .find(|known| *known as u8 == *kind)?;
    is_whole.then_some((kind, content))
}

/// Where the next frame may start, at or after `from`. A mark does not guarantee a frame.
pub(super) fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(rest) = bytes.get(at..) {
        at += rest.iter().position(|byte| *byte == MARK[0])?;
        // An incomplete mark at the end counts.
        let rest = &bytes[at..];
        if MARK.starts_with(&rest[..rest.len().min(MARK.len())]) {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn checksum(kind: u8, summed: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&[kind]);
    crc.update(summed);
    crc.sum()
}

/// Takes a number from the start of `bytes`.
pub(super) fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_returns_its_content_or_nothing(
            content in prop::collection::vec(any::<u8>(), 0..100),
            before in prop::collection::vec(any::<u8>(), 0..20),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            let mut frame = wrap(FrameKind::Part, &[&content[..content.len() / 2], &content[content.len() / 2..]]);
            prop_assert_eq!(unwrap(&frame), Some((FrameKind::Part, &content[..])));
            let file = [&before[..], &frame, &before].concat();
            let mut found = find(&file, 0);
            while found.is_some_and(|found| unwrap(&file[found..]).is_none()) {
                found = find(&file, found.unwrap() + 1);
            }
            prop_assert_eq!(found, Some(before.len()));
            prop_assert_eq!(unwrap(&frame[..frame.len() - 1]), None);
            let at = at.index(frame.len());
            frame[at] ^= flip;
            prop_assert_eq!(unwrap(&frame), None);
        }
    }
}

//! Decompression of bodies.
//!
//! A body is complete, or it is an error. A body that ends early must not look like a shorter body.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status, bufread::GzDecoder};
use http::{HeaderMap, HeaderValue, header::CONTENT_ENCODING};

/// The value of `Accept-Encoding`.
pub const ACCEPTED: HeaderValue = HeaderValue::from_static("zstd, gzip, deflate");

/// The largest number of codings of one body.
const CODINGS_MAX: usize = 3;

/// The window of zstd as a power of two: the 8 MiB of RFC 9659.
const WINDOW_LOG_MAX: u32 = 23;

/// The size of a decompressed piece, in bytes.
const PIECE_BYTES: usize = 32 * 1024;

/// Why a body cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The body has a coding that was not requested, or too many codings.
    #[error(
        "the body has the content encoding `{0}`; only {list} were requested",
        list = "zstd, gzip and deflate"
    )]
    Unknown(String),
    /// The compressed body has no end.
    #[error("the compressed body ends early")]
    Cut,
    /// The body is not in the format of its coding.
    #[error("the body is not {coding}")]
    Corrupt {
        /// The format that the body should have.
        coding: &'static str,
        /// Why the body is not in this format.
        #[source]
        source: io::Error,
    },
    /// The decompressed body is larger than the limit.
    #[error("the body is larger than the limit")]
    TooLarge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Zstd,
}

/// The codings of a body, in the order in which the server applied them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Codings(Vec<Coding>);

impl Codings {
    /// The codings in the headers.
    ///
    /// # Errors
    /// If one of them is unknown.
    pub fn of(headers: &HeaderMap) -> Result<Self, DecodeError> {
        let mut codings = Vec::new();
        for line in headers.get_all(CONTENT_ENCODING) {
            let text = String::from_utf8_lossy(line.as_bytes());
            for name in text.split(',').map(str::trim) {
                let known = match name.to_ascii_lowercase().as_str() {
                    "" | "identity" => continue,
                    "gzip" | "x-gzip" => Some(Coding::Gzip),
                    "deflate" => Some(Coding::Deflate),
                    "zstd" => Some(Coding::Zstd),
                    _ => None,
                };
                let known = known.filter(|_| codings.len() < CODINGS_MAX);
                codings.push(known.ok_or_else(|| unknown(&text))?);
            }
        }
        Ok(Self(codings))
    }

    /// Whether the body is not compressed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Decompresses a body to at most `limit_bytes`.
    ///
    /// # Errors
    /// If the body is incomplete, is not in the format of its coding, or is too large.
    pub fn decode(&self, body: Bytes, limit_bytes: u64) -> Result<Bytes, DecodeError> {
        // Answers without a body have the header too.
        if body.is_empty() || self.is_empty() {
            return Ok(body);
        }
        let mut body = Vec::from(body);
        for coding in self.0.iter().rev() {
            body = match coding {
                Coding::Gzip => gunzip(&body, limit_bytes),
                Coding::Deflate => inflate(&body, limit_bytes),
                Coding::Zstd => unzstd(&body, limit_bytes),
            }?;
        }
        body.shrink_to_fit();
        Ok(body.into())
    }
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    fn failed(self, source: io::Error) -> DecodeError {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => DecodeError::Cut,
            _ => DecodeError::Corrupt {
                coding: self.name(),
                source,
            },
        }
    }
}

fn unknown(text: &str) -> DecodeError {
    DecodeError::Unknown(text.chars().filter(|c| !c.is_control()).take(40).collect())
}

/// Decompresses all members of a gzip file. Zeros may follow the last member.
fn gunzip(body: &[u8], limit_bytes: u64) -> Result<Vec<u8>, DecodeError> {
    let (mut rest, mut out) = (body, Pieces::default());
    loop {
        let member = GzDecoder::new(&mut rest);
        out.read_to_end(member, limit_bytes, Coding::Gzip)?;
        if is_padding(rest) {
            return Ok(out.joined());
        }
    }
}

fn unzstd(body: &[u8], limit_bytes: u64) -> Result<Vec<u8>, DecodeError> {
    let mut out = Pieces::default();
    let decoder = zstd::stream::read::Decoder::with_buffer(body).and_then(|mut decoder| {
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        Ok(decoder)
    });
    let decoder = decoder.map_err(|error| Coding::Zstd.failed(error))?;
    out.read_to_end(decoder, limit_bytes, Coding::Zstd)?;
    Ok(out.joined())
}

/// Decompressed data in pieces. One vector that grows by doubling would need three times the limit
/// for a moment, in each of the threads that decompress.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Vec<u8>>,
    bytes: u64,
}

impl Pieces {
    fn read_to_end(
        &mut self,
        mut from: impl Read,
        limit_bytes: u64,
        coding: Coding,
    ) -> Result<(), DecodeError> {
        loop {
            let mut piece = Vec::new();
            let mut part = from.by_ref().take(PIECE_BYTES as u64);
            let read = part.read_to_end(&mut piece);
            let read = read.map_err(|error| coding.failed(error))?;
            if read == 0 {
                return Ok(());
            }
            self.push(piece, limit_bytes)?;
        }
    }

    fn push(&mut self, mut piece: Vec<u8>, limit_bytes: u64) -> Result<(), DecodeError> {
        self.bytes += piece.len() as u64;
        if self.bytes > limit_bytes {
            return Err(DecodeError::TooLarge);
        }
        piece.shrink_to_fit();
        self.pieces.push(piece);
        Ok(())
    }

    /// Joins all pieces.
    fn joined(mut self) -> Vec<u8> {
        match self.pieces.len() {
            1 => self.pieces.pop().unwrap_or_default(),
            _ => self.pieces.concat(),
        }
    }
}

/// Decompresses deflate. The standard says that it has the header of zlib, but some servers omit
/// it.
fn inflate(body: &[u8], limit_bytes: u64) -> Result<Vec<u8>, DecodeError> {
    let is_zlib = match body {
        [first, second, ..] => first & 0x0f == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0,
        _ => false,
    };
    match is_zlib.then(|| inflate_as(true, body, limit_bytes)) {
        None | Some(Err(DecodeError::Corrupt { .. })) => inflate_as(false, body, limit_bytes),
        Some(result) => result,
    }
}

fn inflate_as(is_zlib: bool, body: &[u8], limit_bytes: u64) -> Result<Vec<u8>, DecodeError> {
    let corrupt = |error: flate2::DecompressError| {
        let source = io::Error::new(io::ErrorKind::InvalidData, error);
        Coding::Deflate.failed(source)
    };
    let (mut inflater, mut out, mut rest) = (Decompress::new(is_zlib), Pieces::default(), body);
    loop {
        let before = inflater.total_in();
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let status = inflater.decompress_vec(rest, &mut piece, FlushDecompress::None);
        let status = status.map_err(corrupt)?;
        let taken = usize::try_from(inflater.total_in() - before).unwrap_or(usize::MAX);
        rest = rest.get(taken..).unwrap_or_default();
        let is_stuck = taken == 0 && piece.is_empty();
        out.push(piece, limit_bytes)?;
        if status == Status::StreamEnd {
            break;
        }
        if is_stuck {
            return Err(DecodeError::Cut);
        }
    }
    match is_padding(rest) {
        true => Ok(out.joined()),
        false => {
            let source = io::Error::new(io::ErrorKind::InvalidData, "there is data after its end");
            Err(Coding::Deflate.failed(source))
        }
    }
}

fn is_padding(rest: &[u8]) -> bool {
    rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    use super::*;

    const LIMIT: u64 = 100_000;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn raw_deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(encoding: &str, body: &[u8]) -> Result<Vec<u8>, String> {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, encoding.parse().unwrap())]);
        let codings = Codings::of(&headers).map_err(|error| error.to_string())?;
        let decoded = codings.decode(body.to_vec().into(), LIMIT);
        let decoded = decoded.map(Vec::from);
        decoded.map_err(|error| error.to_string())
    }

    #[test]
    fn codings_of_real_servers_are_decompressed() {
        let text: &[u8] = br#"{"a": 1, "b": [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}"#;
        let (first, second) = text.split_at(20);
        let members = [gzip(first), gzip(second)].concat();
        let zstd = |text| zstd::bulk::compress(text, 1).unwrap();
        for (encoding, body) in [
            ("gzip", gzip(text)),
            ("GZIP", gzip(text)),
            ("x-gzip", gzip(text)),
            ("gzip", members.clone()),
            ("gzip", [members, vec![0; 9]].concat()),
            ("deflate", zlib(text)),
            ("Deflate", raw_deflate(text)),
            ("zstd", zstd(text)),
            ("zstd", [zstd(first), zstd(second)].concat()),
            ("deflate, identity, gzip", gzip(&zlib(text))),
            ("identity", text.to_vec()),
            ("", text.to_vec()),
        ] {
            assert_eq!(decode(encoding, &body).as_deref(), Ok(text), "{encoding}");
        }
        assert_eq!(decode("gzip", b""), Ok(Vec::new()));
    }

    #[test]
    fn a_body_that_ends_early_is_an_error() {
        let text: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
        for (encoding, body) in [
            ("gzip", gzip(&text)),
            ("deflate", zlib(&text)),
            ("deflate", raw_deflate(&text)),
            ("zstd", zstd::bulk::compress(&text, 1).unwrap()),
        ] {
            for length in [body.len() - 1, body.len() / 2, 3, 1] {
                let cut = decode(encoding, &body[..length]);
                assert_eq!(
                    cut,
                    Err("the compressed body ends early".to_owned()),
                    "{encoding}"
                );
            }
        }
    }

    #[test]
    fn error_messages_name_the_problem() {
        let bomb = vec![b' '; 100_001];
        for (encoding, body, expected) in [
            (
                "br",
                vec![1],
                "the body has the content encoding `br`; only zstd, gzip and deflate were requested",
            ),
            (
                "gzip, gzip, gzip, gzip",
                vec![1],
                "the body has the content encoding `gzip, gzip, gzip, gzip`; only zstd, gzip and deflate were requested",
            ),
            (
                "gzip",
                b"[1, 2, 3, 4, 5, 6]".to_vec(),
                "the body is not gzip",
            ),
            (
                "gzip",
                [gzip(b"1"), b"[1, 2, 3, 4, 5, 6]".to_vec()].concat(),
                "the body is not gzip",
            ),
            (
                "deflate",
                [zlib(b"1"), b"more".to_vec()].concat(),
                "the body is not deflate",
            ),
            (
                "zstd",
                b"[1, 2, 3, 4, 5, 6]".to_vec(),
                "the body is not zstd",
            ),
            ("gzip", gzip(&bomb), "the body is larger than the limit"),
            (
                "deflate",
                raw_deflate(&bomb),
                "the body is larger than the limit",
            ),
            (
                "zstd",
                zstd::bulk::compress(&bomb, 1).unwrap(),
                "the body is larger than the limit",
            ),
        ] {
            assert_eq!(
                decode(encoding, &body),
                Err(expected.to_owned()),
                "{encoding}"
            );
        }
    }
}

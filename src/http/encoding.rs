//! Compression of answers: the choice of the encoding, and compression piece by piece.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::{HeaderMap, header::ACCEPT_ENCODING};

/// The lowest level of zlib-rs that searches: level 1 leaves a scrape half as large again. Higher
/// levels are slower and gain hardly anything.
const GZIP_LEVEL: u32 = 2;
/// The fastest level: an answer is created for few clients.
const ZSTD_LEVEL: i32 = 1;
/// The window of zstd as a power of two: 256 KiB need little memory for each answer.
const WINDOW_LOG: u32 = 18;

/// The encoding of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Zstd,
}

impl Encoding {
    /// The best encoding that the client accepts. `None` if it accepts or prefers none.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut weights = [None; 2];
        let (mut identity, mut any) = (None, None);
        let lines = headers.get_all(ACCEPT_ENCODING).iter();
        for (name, weight) in lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(weighted)
        {
            match name.to_ascii_lowercase().as_str() {
                "zstd" => weights[0] = Some(weight),
                "gzip" | "x-gzip" => weights[1] = Some(weight),
                "identity" => identity = Some(weight),
                "*" => any = Some(weight),
                _ => {}
            }
        }
        let [zstd, gzip] = weights.map(|weight| weight.or(any).unwrap_or(0.0));
        let best = if zstd >= gzip {
            (Self::Zstd, zstd)
        } else {
            (Self::Gzip, gzip)
        };
        (best.1 > 0.0 && best.1 >= identity.unwrap_or(0.0)).then_some(best.0)
    }

    /// The name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// The words of a header such as `gzip;q=0.5, zstd`, each with its weight (RFC 9110 §12.4.2).
fn weighted(line: &str) -> impl Iterator<Item = (&str, f32)> {
    line.split(',').map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        (
            name,
            weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)),
        )
    })
}

/// Compresses the pieces of a body on demand. A piece may be empty if the compressor needs more.
pub(super) struct Compressed<I> {
    pieces: I,
    /// `None` after the end.
    encoder: Option<Encoder>,
}

enum Encoder {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl<I: Iterator<Item = io::Result<Bytes>>> Compressed<I> {
    /// Compresses `pieces`.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub(super) fn new(encoding: Encoding, pieces: I) -> io::Result<Self> {
        let encoder = match encoding {
            Encoding::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Encoder::Gzip(Box::new(GzEncoder::new(Vec::new(), level)))
            }
            Encoding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(WINDOW_LOG)?;
                Encoder::Zstd(Box::new(encoder))
            }
        };
        Ok(Self {
            pieces,
            encoder: Some(encoder),
        })
    }
}

impl<I: Iterator<Item = io::Result<Bytes>>> Iterator for Compressed<I> {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        let encoder = self.encoder.as_mut()?;
        let piece = match self.pieces.next() {
            Some(piece) => piece.and_then(|piece| encoder.push(&piece)),
            None => self.encoder.take()?.finish(),
        };
        Some(piece.map(Bytes::from))
    }
}

impl Encoder {
    /// The compressed output for `piece`.
    fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        let out = match self {
            Self::Gzip(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
            Self::Zstd(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(out))
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoding::*, *};

    #[test]
    fn a_client_gets_the_encoding_that_it_prefers() {
        for (header, expected) in [
            ("gzip", Some(Gzip)),
            ("zstd", Some(Zstd)),
            ("gzip, zstd", Some(Zstd)),
            ("gzip;q=1.0, zstd;q=0.5", Some(Gzip)),
            ("GZIP ; q=0.1, br", Some(Gzip)),
            ("*", Some(Zstd)),
            ("*;q=0.5, zstd;q=0", Some(Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=0.2, identity", None),
            ("gzip;q=nonsense", None),
            ("br, deflate", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, header.parse().unwrap());
            assert_eq!(Encoding::accepted(&headers), expected, "{header}");
        }
        assert_eq!(Encoding::accepted(&HeaderMap::new()), None);
    }

    #[test]
    fn a_body_compressed_in_pieces_can_be_decompressed() {
        let pieces = || (0_u8..200).map(|n| Bytes::from(vec![n % 7; 10_000]));
        let plain: Vec<u8> = pieces().flatten().collect();
        for encoding in [Gzip, Zstd] {
            let compressed = Compressed::new(encoding, pieces().map(Ok)).unwrap();
            let bytes: Vec<u8> = compressed.flat_map(Result::unwrap).collect();
            assert!(bytes.len() < plain.len() / 50, "{}", bytes.len());
            let mut read = Vec::new();
            match encoding {
                Gzip => io::copy(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut read),
                Zstd => zstd::stream::copy_decode(&bytes[..], &mut read).map(|()| 0),
            }
            .unwrap();
            assert!(read == plain, "{encoding:?}");
        }
    }
}

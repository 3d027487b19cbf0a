//! Sizes of data.

use std::{fmt, str::FromStr};

const UNITS: [(&str, u64); 10] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// A size of data: bytes as a number, or a number with a unit: `4MiB`, `512KiB`, `10MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

/// Why a text is not a size of data. The messages do not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ByteSizeError {
    #[error("expected a number of bytes or a size such as 4MiB, 512KiB, 10MB")]
    Syntax,
    #[error("expected a size of less than 16777216TiB")]
    Range,
}

impl ByteSize {
    /// A size in bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size in KiB, of 1024 bytes.
    pub const fn from_kib(kibibytes: u64) -> Self {
        Self(kibibytes.saturating_mul(1 << 10))
    }

    /// A size in MiB, of 1024 KiB.
    pub const fn from_mib(mebibytes: u64) -> Self {
        Self(mebibytes.saturating_mul(1 << 20))
    }

    /// The size in bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The size as a length in memory. On a small machine it is at most the addressable size.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let text = text.trim();
        let unit = UNITS
            .iter()
            .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
        let (number, size) = unit.unwrap_or((text, 1));
        let number = number.trim_end();
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ByteSizeError::Syntax);
        }
        let number: u64 = number.parse().map_err(|_| ByteSizeError::Range)?;
        number
            .checked_mul(size)
            .map(Self)
            .ok_or(ByteSizeError::Range)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, size): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*size);
        match UNITS.iter().take(6).find(exact) {
            Some((unit, size)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> serde::Deserialize<'de> for ByteSize {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes or a size such as 4MiB, 512KiB, 10MB")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
        }
        from.deserialize_str(Visitor)
    }
}

written_as_text!(ByteSize, {
    "type": ["string", "integer"],
    "description": "An amount of data: bytes, or a number with its unit, such as `4MiB`.",
    "minimum": 0,
    "pattern": "^[0-9]+ *([kKMGT]B|[KMGT]iB|B)?$|\\$\\{",
    "examples": ["4MiB", "512KiB", "10MB", 1048576]
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes_units() {
        for (text, bytes, back) in [
            ("0", 0, "0B"),
            ("1000", 1_000, "1kB"),
            ("1001", 1_001, "1001B"),
            ("4MiB", 4 << 20, "4MiB"),
            ("512 KiB", 512 << 10, "512KiB"),
            ("1024KiB", 1 << 20, "1MiB"),
            ("10MB", 10_000_000, "10MB"),
            ("1TiB", 1 << 40, "1024GiB"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(
                (size.get(), size.to_string().as_str()),
                (bytes, back),
                "{text}"
            );
        }
        for text in ["", "MiB", "-1", "1.5MiB", "4mib", "4Mi", "+1"] {
            assert_eq!(
                text.parse::<ByteSize>(),
                Err(ByteSizeError::Syntax),
                "{text}"
            );
        }
        assert_eq!("99999999TiB".parse::<ByteSize>(), Err(ByteSizeError::Range));
    }

    proptest! {
        #[test]
        fn round_trips(bytes: u64, shift in 0..64_u32) {
            let size = ByteSize(bytes >> shift << shift);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}

//! Which of several collectors of one configuration polls a target.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::relabel::low_half_of_md5;
use crate::yaml::{Cursor, Diagnostics};

/// The share of the targets that this collector polls. All collectors get the same configuration
/// but for `index`, and together they poll each target exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ShardConfig {
    /// Which of the collectors this one is, from 0: a number, or the name of a pod of a
    /// StatefulSet, which ends in one (`betanet-collector-2`).
    pub index: ShardIndex,
    /// How many collectors share the targets.
    pub count: u32,
    /// How the targets are shared out.
    #[serde(default)]
    pub hash: ShardHash,
}

/// How targets are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShardHash {
    /// Each target goes to the collector that scores highest for it, so that one more collector
    /// only takes the targets that become its own.
    #[default]
    Rendezvous,
    /// As Prometheus' `hashmod` of `__address__` (of a pool, of its name): for who shards his Prometheus servers that way.
    HashMod,
}

/// The number of a shard, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardIndex(u32);

/// Why a text names no shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number, or the name of a pod that ends in `-` and a number")]
pub struct ShardIndexError;

impl ShardConfig {
    /// Whether this collector polls the target with this `key`: its address, or the name of a pool.
    pub fn owns(&self, key: &str) -> bool {
        let ShardIndex(index) = self.index;
        self.shard_of(key) == index
    }

    /// The number of the shard that polls the target with this key.
    pub(super) fn shard_of(&self, key: &str) -> u32 {
        let hash = low_half_of_md5(key);
        match self.hash {
            ShardHash::HashMod => {
                let rest = hash % u64::from(self.count.max(1));
                u32::try_from(rest).unwrap_or_default()
            }
            // Highest random weight: Thaler and Ravishankar, 1998.
            ShardHash::Rendezvous => (0..self.count)
                .max_by_key(|shard| mix(hash ^ mix(u64::from(*shard) + 1)))
                .unwrap_or_default(),
        }
    }

    /// The number of this shard.
    pub fn index(&self) -> u32 {
        self.index.0
    }

    /// Checks that there is such a shard; mistakes go to `diagnostics`.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.count == 0 {
            at.error(&["count"], "requires positive value", diagnostics);
        } else if self.index.0 >= self.count {
            let message = format!(
                "is {}, but {} shards are 0 to {}",
                self.index,
                self.count,
                self.count - 1
            );
            at.error(&["index"], message, diagnostics);
        }
    }
}

/// Spreads any change of `bits` over all of them: the finalizer of SplitMix64.
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl FromStr for ShardIndex {
    type Err = ShardIndexError;

    fn from_str(text: &str) -> Result<Self, ShardIndexError> {
        let text = text.trim();
        let number = text.rsplit_once('-').map_or(text, |(_, ordinal)| ordinal);
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let is_negative = text.strip_prefix('-') == Some(number);
        let index = number.parse().ok().filter(|_| is_number && !is_negative);
        index.map(Self).ok_or(ShardIndexError)
    }
}

impl fmt::Display for ShardIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for ShardIndex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ShardIndex;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or the name of a pod that ends in `-` and a number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ShardIndex, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, index: u64) -> Result<ShardIndex, E> {
                let index = u32::try_from(index).map_err(|_| E::custom(ShardIndexError))?;
                Ok(ShardIndex(index))
            }
        }
        from.deserialize_str(Visitor)
    }
}

impl Serialize for ShardIndex {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl JsonSchema for ShardIndex {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ShardIndex".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "minimum": 0,
            "description": "The number of a shard from 0, or the name of a pod that ends in it.",
            "pattern": "^\\s*([^\\s]+-)?[0-9]+\\s*$|\\$\\{",
            "examples": [0, "${env:POD_NAME}"]
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shard(index: u32, count: u32, hash: ShardHash) -> ShardConfig {
        ShardConfig {
            index: ShardIndex(index),
            count,
            hash,
        }
    }

    fn addresses(count: u32) -> impl Iterator<Item = String> {
        (0..count).map(|n| format!("10.0.{}.{}:8080", n / 256, n % 256))
    }

    /// The share of 10,000 targets that change hands from `count` shards to one more.
    fn moved(count: u32, hash: ShardHash) -> f64 {
        let (before, after) = (shard(0, count, hash), shard(0, count + 1, hash));
        let moves = |address: &String| before.shard_of(address) != after.shard_of(address);
        let moved = addresses(10_000).filter(moves).count();
        f64::from(u32::try_from(moved).unwrap()) / 10_000.0
    }

    #[test]
    fn an_index_is_a_number_or_the_name_of_a_pod() {
        for (text, index) in [
            ("0", Some(0)),
            (" 12\n", Some(12)),
            ("betanet-collector-2", Some(2)),
            ("a-1-03", Some(3)),
            ("", None),
            ("-1", None),
            ("betanet-collector", None),
            ("betanet-collector-", None),
            ("betanet-collector-7d9f", None),
            ("4294967296", None),
            ("+1", None),
        ] {
            assert_eq!(text.parse().ok(), index.map(ShardIndex), "{text:?}");
        }
    }

    #[test]
    fn a_fourth_shard_takes_a_quarter_with_rendezvous_and_moves_three_with_hashmod() {
        let rendezvous = moved(3, ShardHash::Rendezvous);
        assert!((0.23..=0.26).contains(&rendezvous), "{rendezvous}");
        let hashmod = moved(3, ShardHash::HashMod);
        assert!((0.73..=0.77).contains(&hashmod), "{hashmod}");
    }

    #[test]
    fn shards_are_of_one_size() {
        for hash in [ShardHash::Rendezvous, ShardHash::HashMod] {
            let mut sizes = [0_u32; 8];
            for address in addresses(10_000) {
                sizes[shard(0, 8, hash).shard_of(&address) as usize] += 1;
            }
            assert!(
                sizes.iter().all(|size| (1_130..=1_370).contains(size)),
                "{sizes:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn each_target_has_exactly_one_shard(address in "\\PC{0,20}", count in 1_u32..40) {
            for hash in [ShardHash::Rendezvous, ShardHash::HashMod] {
                let owners = (0..count).filter(|index| shard(*index, count, hash).owns(&address));
                prop_assert_eq!(owners.count(), 1);
            }
        }

        #[test]
        fn with_rendezvous_a_target_moves_to_the_new_shard_or_stays(
            address in "\\PC{0,20}", count in 1_u32..40,
        ) {
            let before = shard(0, count, ShardHash::Rendezvous).shard_of(&address);
            let after = shard(0, count + 1, ShardHash::Rendezvous).shard_of(&address);
            prop_assert!(after == before || after == count, "{before} {after} of {count}");
        }
    }

    #[test]
    fn one_more_shard_takes_no_more_than_its_part() {
        for count in 1..20 {
            let ideal = 1.0 / f64::from(count + 1);
            let moved = moved(count, ShardHash::Rendezvous);
            assert!(moved <= ideal * 1.1, "{moved} of {ideal} from {count}");
        }
    }
}

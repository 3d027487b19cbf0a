//! Values that are one metric with an attribute: `in_bytes` and `out_bytes` are the two directions
//! of `io`. The attributes are those of OpenTelemetry's semantic conventions where these have one.

use std::collections::BTreeSet;

use super::{
    draft::{Metric, Series},
    units::counted,
    words::is_in,
};

/// An attribute that the words of names say.
struct Attribute {
    key: &'static str,
    /// Its values, and the words that say them.
    values: &'static [(&'static str, &'static str)],
    kind: Kind,
}

/// What else follows from the words.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Bytes of it are `io`.
    Direction,
    /// What is counted are lookups.
    Lookups,
    /// Time is `cpu.time`.
    Processor,
    /// Nothing.
    Other,
}

const ATTRIBUTES: [Attribute; 7] = [
    Attribute {
        key: "network.io.direction",
        values: &[
            ("receive", "in input receive received recv rx"),
            ("transmit", "out output send sent transmit transmitted tx"),
        ],
        kind: Kind::Direction,
    },
    Attribute {
        key: "disk.io.direction",
        values: &[("read", "read reads"), ("write", "write writes written")],
        kind: Kind::Direction,
    },
    Attribute {
        key: "network.transport",
        values: &[("tcp", "tcp"), ("udp", "udp")],
        kind: Kind::Other,
    },
    Attribute {
        key: "network.type",
        values: &[("ipv4", "ipv4 v4"), ("ipv6", "ipv6 v6")],
        kind: Kind::Other,
    },
    Attribute {
        key: "cpu.mode",
        values: &[
            ("user", "user usr"),
            ("system", "system sys"),
            ("nice", "nice"),
            ("idle", "idle"),
            ("iowait", "iowait"),
            ("interrupt", "irq interrupt"),
            ("steal", "steal"),
        ],
        kind: Kind::Processor,
    },
    Attribute {
        key: "result",
        values: &[("hit", "hit hits"), ("miss", "miss misses")],
        kind: Kind::Lookups,
    },
    Attribute {
        key: "state",
        values: &[("busy", "busy"), ("idle", "idle")],
        kind: Kind::Other,
    },
];

/// The metrics of a group with each family as one metric, at the place of its first member.
pub(super) fn joined(mut metrics: Vec<Metric>) -> Vec<Metric> {
    for attribute in &ATTRIBUTES {
        let mut rest: Vec<Metric> = Vec::new();
        while !metrics.is_empty() {
            let first = metrics.remove(0);
            let family = family(attribute, &first, &metrics);
            match family.and_then(|members| whole(attribute, &first, &members, &metrics)) {
                Some((one, taken)) => {
                    rest.push(one);
                    let mut index = 0;
                    metrics.retain(|_| {
                        index += 1;
                        !taken.contains(&(index - 1))
                    });
                }
                None => rest.push(first),
            }
        }
        metrics = rest;
    }
    metrics
}

/// A member of a family: which of the others it is, and the value of the attribute.
type Member = (usize, &'static str);

/// The other members of the family of `first`, if it may have one.
fn family(attribute: &Attribute, first: &Metric, others: &[Metric]) -> Option<Vec<Member>> {
    let (own, rest) = said(attribute, &first.words)?;
    let is_alone = first.series.is_empty() && first.before.is_empty();
    let mut values = BTreeSet::from([own]);
    let mut members = Vec::new();
    for (index, other) in others.iter().enumerate() {
        let Some((value, other_rest)) = said(attribute, &other.words) else {
            continue;
        };
        let is_like = other_rest == rest && is_like(first, other);
        if is_alone && is_like && values.insert(value) {
            members.push((index, value));
        }
    }
    (!members.is_empty()).then_some(members)
}

/// What the words say of the attribute, and the other words.
fn said(attribute: &Attribute, words: &[String]) -> Option<(&'static str, Vec<String>)> {
    let value_of = |word: &String| {
        let mut values = attribute.values.iter();
        values
            .find(|(_, said)| is_in(word, said))
            .map(|(value, _)| *value)
    };
    let at = words.iter().position(|word| value_of(word).is_some())?;
    let value = words.get(at).and_then(value_of)?;
    let mut rest = words.to_vec();
    rest.remove(at);
    Some((value, rest))
}

/// Whether both measure the same of two things.
fn is_like(one: &Metric, other: &Metric) -> bool {
    let unit = |of: &Metric| of.unit.clone().filter(|unit| !unit.starts_with('{'));
    one.parts == other.parts
        && unit(one) == unit(other)
        && one.behind == other.behind
        && other.before.is_empty()
        && other.series.is_empty()
        && one.is_optional == other.is_optional
}

/// The family as one metric, and which of the others are in it. None if nothing is left to name it.
fn whole(
    attribute: &Attribute,
    first: &Metric,
    members: &[Member],
    others: &[Metric],
) -> Option<(Metric, BTreeSet<usize>)> {
    let (value, rest) = said(attribute, &first.words)?;
    let mut all = vec![(value, first)];
    let found = members
        .iter()
        .filter_map(|(index, value)| Some((*value, others.get(*index)?)));
    all.extend(found);
    let mut one = first.clone();
    name(attribute, &mut one, rest)?;
    let is_time = attribute.kind == Kind::Processor;
    let has_counter = all.iter().any(|(_, of)| of.instrument == "counter");
    let fell = all.iter().any(|(_, of)| of.fell);
    if (is_time || has_counter) && !fell {
        one.instrument = "counter";
    }
    let series = all.iter().map(|(value, of)| Series {
        value: of.value.clone(),
        attribute: [attribute.key.to_owned(), (*value).to_owned()],
        reason: of.reason.clone(),
    });
    one.series = series.collect();
    one.description = None;
    one.reason = format!("they differ in `{}`", attribute.key);
    let taken = members.iter().map(|(index, _)| *index).collect();
    Some((one, taken))
}

/// Gives the family its name and the unit that follows from it.
fn name(attribute: &Attribute, one: &mut Metric, mut rest: Vec<String>) -> Option<()> {
    let is_bytes = one.unit.as_deref() == Some("By");
    match attribute.kind {
        Kind::Direction if is_bytes => {
            rest.retain(|word| word != "bytes");
            if rest.last().is_none_or(|last| last != "io") {
                rest.push("io".to_owned());
            }
        }
        // What is read and written may be anything.
        Kind::Direction if attribute.key.starts_with("disk") => {
            rest.iter()
                .find(|word| is_in(word, "disk io storage store"))?;
        }
        Kind::Lookups => {
            one.parts.extend(of_words(&rest));
            rest = vec!["lookups".to_owned()];
        }
        Kind::Processor if one.unit.as_deref() == Some("s") => {
            rest.retain(|word| !["cpu", "time"].contains(&word.as_str()));
            one.parts.extend(of_words(&rest));
            one.parts.push("cpu".to_owned());
            rest = vec!["time".to_owned()];
        }
        Kind::Processor => return None,
        Kind::Direction | Kind::Other => {}
    }
    let is_unknown = one.unit.as_ref().is_none_or(|unit| unit.starts_with('{'));
    if is_unknown {
        one.unit = counted(&rest);
    }
    one.words = rest;
    (!one.words.is_empty() && one.unit.is_some()).then_some(())
}

/// A part of a name, if there is one.
fn of_words(words: &[String]) -> Option<String> {
    (!words.is_empty()).then(|| words.join("_"))
}

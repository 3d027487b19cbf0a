//! Filters that are not written in jq: those of the libraries, and those that guard a run.

use std::cmp::Ordering;

use jaq_core::{
    Cv, Error, Exn, Native, ValXs,
    box_iter::box_once,
    native::{Fun, bome, v},
};
use jaq_json::{Num, Val};

use super::{
    Kind,
    budget::{Budget, DEPTH_MAX, Runaway},
    value,
};

/// Takes a step. No program can call what has such a name.
pub(super) const STEP: &str = "(step)";
/// Takes what a new array or object takes, and sees that it is not too deep.
pub(super) const FLAT: &str = "(flat)";
/// Lets pass what can be written as a text.
pub(super) const BOUNDED: &str = "(bounded)";
/// The sum.
pub(super) const ADD: &str = "(add)";
/// The product.
pub(super) const MUL: &str = "(mul)";

/// What an array or an object takes, and each of its items, in bytes.
const CONTAINER_BYTES: u64 = 64;
const ITEM_BYTES: u64 = 16;
const MEMBER_BYTES: u64 = 64;

/// A text or a number is no larger than this, in bytes.
const TEXT_BYTES_MAX: u64 = 16 * 1024 * 1024;
const NUMBER_BITS_MAX: u64 = 4096;

/// What is written as a text has no more values than this.
const VALUES_MAX: usize = 1_000_000;

/// Filters that reach outside of the program.
const OUTSIDE: [&str; 9] = [
    "env",
    "now",
    "halt",
    "input",
    "inputs",
    "debug_empty",
    "stderr_empty",
    "localtime",
    "strflocaltime",
];

/// Filters that know no bounds; here are others.
const UNBOUNDED: [&str; 3] = ["range", "fromjson", "tojson"];

type Outputs<'a> = ValXs<'a, Val>;

/// What an operation gives, unless the run is stopped.
type Guarded = Result<Result<Val, Error<Val>>, Runaway>;

/// All filters.
pub(super) fn all() -> impl Iterator<Item = Fun<Kind>> {
    let libraries = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs::<Kind>());
    let libraries =
        libraries.filter(|(name, ..)| !OUTSIDE.contains(name) && !UNBOUNDED.contains(name));
    libraries.chain(own())
}

/// Passes its input on, as a value, a path and an update alike, unless the guard says no.
macro_rules! passing {
    ($guard:ident) => {
        Native::<Kind>::new(|cv| {
            let guarded = $guard(cv.0.data().budget, &cv.1);
            box_once(guarded.map(|()| cv.1).map_err(stopped))
        })
        .with_paths(|cv| {
            let guarded = $guard(cv.0.data().budget, &cv.1.0);
            box_once(guarded.map(|()| cv.1).map_err(stopped))
        })
        .with_update(|cv, update| match $guard(cv.0.data().budget, &cv.1) {
            Ok(()) => update(cv.1),
            Err(error) => box_once(Err(stopped(error))),
        })
    };
}

fn own() -> [Fun<Kind>; 8] {
    [
        (STEP, v(0), passing!(step)),
        (FLAT, v(0), passing!(flat)),
        (BOUNDED, v(0), passing!(bounded)),
        (ADD, v(2), Native::<Kind>::new(|cv| operation(cv, add))),
        (MUL, v(2), Native::<Kind>::new(|cv| operation(cv, mul))),
        ("range", v(3), Native::<Kind>::new(range)),
        ("fromjson", v(0), Native::<Kind>::new(from_json)),
        ("tojson", v(0), Native::<Kind>::new(to_json)),
    ]
}

fn stopped<'a>(why: Runaway) -> Exn<'a, Val> {
    Error::str(why).into()
}

fn step(budget: &Budget, _value: &Val) -> Result<(), Runaway> {
    budget.step()
}

/// Takes what an array or an object takes, once it is made. How deep it is shows in its first and
/// its last item.
fn flat(budget: &Budget, value: &Val) -> Result<(), Runaway> {
    let bytes = match value {
        Val::Arr(items) => CONTAINER_BYTES + items.len() as u64 * ITEM_BYTES,
        Val::Obj(members) => CONTAINER_BYTES + members.len() as u64 * MEMBER_BYTES,
        _ => return budget.step(),
    };
    budget.take(bytes)?;
    for pick in [first, last] {
        let (mut at, mut depth) = (value, 0);
        while let Some(inner) = pick(at) {
            (at, depth) = (inner, depth + 1);
            if depth > DEPTH_MAX {
                return budget.stop(Runaway::Depth);
            }
        }
    }
    Ok(())
}

fn first(value: &Val) -> Option<&Val> {
    match value {
        Val::Arr(items) => items.first(),
        Val::Obj(members) => members.values().next(),
        _ => None,
    }
}

fn last(value: &Val) -> Option<&Val> {
    match value {
        Val::Arr(items) => items.last(),
        Val::Obj(members) => members.values().next_back(),
        _ => None,
    }
}

/// Whether a value can be written as a text of bounded size. One that stands in several places of
/// another is written as often.
fn bounded(budget: &Budget, value: &Val) -> Result<(), Runaway> {
    let (mut values, mut bytes) = (0, 0);
    match measure(value, &mut values, &mut bytes) {
        true => budget.take(bytes),
        false => budget.stop(Runaway::Size),
    }
}

fn measure(value: &Val, values: &mut usize, bytes: &mut u64) -> bool {
    *values += 1;
    *bytes += match value {
        Val::TStr(text) | Val::BStr(text) => text.len() as u64 + 2,
        _ => 8,
    };
    if *values > VALUES_MAX || *bytes > TEXT_BYTES_MAX {
        return false;
    }
    match value {
        Val::Arr(items) => items.iter().all(|item| measure(item, values, bytes)),
        Val::Obj(members) => members
            .iter()
            .all(|(key, item)| measure(key, values, bytes) && measure(item, values, bytes)),
        _ => true,
    }
}

/// Runs an operation on two values.
fn operation(mut cv: Cv<'_, Kind>, run: fn(&Budget, Val, Val) -> Guarded) -> Outputs<'_> {
    let right = cv.0.pop_var();
    let left = cv.0.pop_var();
    match run(cv.0.data().budget, left, right) {
        Ok(value) => bome(value),
        Err(error) => box_once(Err(stopped(error))),
    }
}

fn add(budget: &Budget, left: Val, right: Val) -> Guarded {
    // What stands on the left alone grows in place.
    match (&left, &right) {
        (Val::TStr(one), Val::TStr(other)) | (Val::BStr(one), Val::BStr(other)) => {
            let bytes = (one.len() + other.len()) as u64;
            size(budget, bytes)?;
            budget.take(bytes)?;
        }
        (Val::Arr(_), Val::Arr(other)) => budget.take(other.len() as u64 * ITEM_BYTES)?,
        (Val::Obj(_), Val::Obj(other)) => budget.take(other.len() as u64 * MEMBER_BYTES)?,
        _ => {}
    }
    let sum = left + right;
    if let Ok(sum) = &sum {
        check(budget, sum)?;
    }
    Ok(sum)
}

fn mul(budget: &Budget, left: Val, right: Val) -> Guarded {
    let repeated = match (&left, &right) {
        (Val::TStr(text) | Val::BStr(text), Val::Num(times))
        | (Val::Num(times), Val::TStr(text) | Val::BStr(text)) => Some((text.len() as u64, times)),
        _ => None,
    };
    if let Some((length, times)) = repeated {
        let times = times
            .as_isize()
            .map_or(u64::MAX, |times| times.max(0).unsigned_abs() as u64);
        let bytes = length.max(1).saturating_mul(times);
        size(budget, bytes)?;
        budget.take(bytes)?;
    }
    let product = left * right;
    if let Ok(product) = &product {
        check(budget, product)?;
    }
    Ok(product)
}

/// Numbers and arrays that grow.
fn check(budget: &Budget, value: &Val) -> Result<(), Runaway> {
    match value {
        Val::Num(Num::BigInt(number)) if number.bits() > NUMBER_BITS_MAX => {
            budget.stop(Runaway::Size)
        }
        Val::Arr(items) if items.len() as u64 * ITEM_BYTES > TEXT_BYTES_MAX * 4 => {
            budget.stop(Runaway::Size)
        }
        Val::Arr(_) | Val::Obj(_) => budget.step(),
        _ => Ok(()),
    }
}

fn size(budget: &Budget, bytes: u64) -> Result<(), Runaway> {
    match bytes <= TEXT_BYTES_MAX {
        true => Ok(()),
        false => budget.stop(Runaway::Size),
    }
}

/// As the library has it, with a step for each number.
fn range(mut cv: Cv<'_, Kind>) -> Outputs<'_> {
    let by = cv.0.pop_var();
    let to = cv.0.pop_var();
    let mut next = Some(cv.0.pop_var());
    let budget = cv.0.data().budget;
    let direction = by
        .partial_cmp(&Val::from(0_isize))
        .unwrap_or(Ordering::Equal);
    Box::new(std::iter::from_fn(move || {
        let now = next.take()?;
        let is_within = match direction {
            Ordering::Greater => now < to,
            Ordering::Less => now > to,
            Ordering::Equal => now != to,
        };
        if !is_within {
            return None;
        }
        if let Err(error) = budget.step() {
            return Some(Err(stopped(error)));
        }
        match now.clone() + by.clone() {
            Ok(following) => next = Some(following),
            Err(error) => return Some(Err(error.into())),
        }
        Some(Ok(now))
    }))
}

/// The library's calls itself for each bracket of the text.
fn from_json(cv: Cv<'_, Kind>) -> Outputs<'_> {
    let read = cv.1.try_as_utf8_bytes_owned().and_then(|text| {
        if let Err(error) = cv.0.data().budget.take(text.len() as u64 * 8) {
            return Err(Error::str(error));
        }
        let read = serde_json::from_slice::<serde_json::Value>(&text);
        read.map(|document| value::of(&document))
            .map_err(|error| Error::str(format!("cannot parse as JSON: {error}")))
    });
    bome(read)
}

fn to_json(cv: Cv<'_, Kind>) -> Outputs<'_> {
    if let Err(error) = bounded(cv.0.data().budget, &cv.1) {
        return box_once(Err(stopped(error)));
    }
    bome(Ok(Val::utf8_str(cv.1.to_string())))
}

//! A time in a request: `now`, or so long before or after it.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use crate::settings;

/// A time and how it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moment {
    offset: Duration,
    is_before: bool,
    form: Form,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Rfc3339,
    Unix,
    UnixMs,
    Date,
}

/// The names of the forms.
pub(super) const FORMS: [&str; 4] = ["rfc3339", "unix", "unix_ms", "date"];

/// What is wrong with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Offset,
    Form,
}

impl Moment {
    /// Reads what follows `now` and the form; none if it does not begin with `now`.
    pub(super) fn parse(scheme: &str, form: &str) -> Option<Result<Self, Wrong>> {
        let offset = scheme.strip_prefix("now")?;
        let is_before = offset.starts_with('-');
        let is_now = offset.is_empty();
        if !is_now && !offset.starts_with(['-', '+']) {
            return None;
        }
        let span = offset.get(1..).unwrap_or("0s");
        let Ok(span) = span.parse::<settings::Duration>() else {
            return Some(Err(Wrong::Offset));
        };
        let form = match form {
            "rfc3339" => Form::Rfc3339,
            "unix" => Form::Unix,
            "unix_ms" => Form::UnixMs,
            "date" => Form::Date,
            _ => return Some(Err(Wrong::Form)),
        };
        Some(Ok(Self {
            offset: span.get(),
            is_before,
            form,
        }))
    }

    /// The text or the number at a time; none if no calendar has it.
    pub(super) fn at(&self, since_epoch: Duration) -> Option<Value> {
        let millis = i64::try_from(since_epoch.as_millis()).ok()?;
        let offset = i64::try_from(self.offset.as_millis()).ok()?;
        let millis = match self.is_before {
            true => millis.checked_sub(offset)?,
            false => millis.checked_add(offset)?,
        };
        let seconds = millis.div_euclid(1000);
        let timestamp = || Timestamp::from_second(seconds).ok();
        Some(match self.form {
            Form::Unix => seconds.into(),
            Form::UnixMs => millis.into(),
            Form::Rfc3339 => timestamp()?.to_string().into(),
            Form::Date => timestamp()?.strftime("%Y-%m-%d").to_string().into(),
        })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_before { '-' } else { '+' };
        write!(f, "now{sign}{}s", self.offset.as_secs())
    }
}

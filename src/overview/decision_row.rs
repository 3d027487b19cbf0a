//! A decision about a target in words.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::{number, span};

/// A decision about a target in words. Fields are added, never renamed or taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRow {
    /// Counts all decisions since the start, so that a gap shows what was forgotten.
    pub number: u64,
    /// When, in RFC 3339.
    pub at: String,
    /// How long ago, in whole seconds.
    pub seconds_ago: u64,
    /// The path of the endpoint; none for what concerns all of the target.
    pub endpoint: Option<String>,
    /// Which of several instances.
    pub instance: Option<String>,
    /// The kind of decision, such as `retry`.
    pub event: String,
    /// Whether it is good news, bad news, or neither.
    pub tone: Tone,
    /// What was decided and why.
    pub words: String,
}

/// What kind of news a decision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// Something works, or works again.
    Good,
    /// Something failed.
    Bad,
    /// It is only said.
    Plain,
}

/// The decisions in words, the latest one first.
pub(super) fn latest_first(decisions: &Value, now: SystemTime) -> Vec<DecisionRow> {
    let decisions = decisions.as_array().into_iter().flatten().rev();
    decisions.map(|decision| row(decision, now)).collect()
}

fn row(decision: &Value, now: SystemTime) -> DecisionRow {
    let text = |key: &str| decision.get(key).and_then(Value::as_str).map(str::to_owned);
    let at = text("at").unwrap_or_default();
    let ago = at.parse::<jiff::Timestamp>().map_or(0, |time| {
        let now = jiff::Timestamp::try_from(now).unwrap_or_default();
        now.duration_since(time).as_secs()
    });
    let (tone, words) = said(decision);
    DecisionRow {
        number: decision.get("number").and_then(Value::as_u64).unwrap_or(0),
        at,
        seconds_ago: u64::try_from(ago).unwrap_or(0),
        endpoint: text("endpoint"),
        instance: text("instance"),
        event: text("event").unwrap_or_default(),
        tone,
        words,
    }
}

/// What was decided and why. The fields are those of `DecisionEvent`.
fn said(decision: &Value) -> (Tone, String) {
    let text = |key: &str| {
        decision
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let time = |key: &str| span(decision.get(key).and_then(Value::as_f64).unwrap_or(0.0));
    match text("event") {
        "attempt" => attempt(decision),
        "refused" => (Tone::Bad, refusal(decision)),
        "transition" => transition(decision),
        "guard" | "suspicion" => suspicion(decision),
        "no_retry" => (
            Tone::Bad,
            format!("not asked again: {}", stop(text("reason"))),
        ),
        "retry" => (Tone::Plain, format!("asked again after {}", time("delay"))),
        "chosen" => {
            let why = text("because").replace('_', " ");
            let expected = time("expected");
            let words = format!("chosen ({why}), expected to answer in {expected}");
            (Tone::Plain, words)
        }
        "served_stale" => {
            let age = time("age");
            let words = match decision.get("times").and_then(Value::as_u64) {
                None | Some(0 | 1) => format!("an older answer was served, {age} old"),
                Some(times) => {
                    let times = number(times);
                    format!("older answers were served, {times} times; the last one was {age} old")
                }
            };
            (Tone::Plain, words)
        }
        other => (Tone::Plain, other.replace('_', " ")),
    }
}

/// Why nothing was sent.
fn refusal(decision: &Value) -> String {
    let level = decision.get("level").and_then(Value::as_str);
    let wait = decision.get("retry_in").and_then(Value::as_f64).map(span);
    let why = match (level, wait) {
        (None, Some(time)) => format!("the server asked for a pause, {time} were left"),
        (None, None) => "the server asked for a pause".to_owned(),
        (Some(level), Some(time)) => format!("the breaker of the {level} was open for {time} more"),
        (Some(level), None) => format!("a trial request to the {level} was under way"),
    };
    match decision.get("times").and_then(Value::as_u64) {
        None | Some(0 | 1) => format!("not asked: {why}"),
        Some(times) => format!("not asked, {} times; the last time {why}", number(times)),
    }
}

/// A suspicion that came or went.
fn suspicion(decision: &Value) -> (Tone, String) {
    let is = |key: &str| decision.get(key).and_then(Value::as_bool);
    let (tone, words) = match (is("suspect"), is("is_suspect")) {
        (Some(true), _) => (
            Tone::Bad,
            "most targets fail at once: the fault may be here, so breakers are held",
        ),
        (Some(false), _) => (
            Tone::Good,
            "a target answers again: breakers are no longer held",
        ),
        (None, Some(true)) => (
            Tone::Bad,
            "the host hangs since this endpoint was asked: the endpoint is left out",
        ),
        (None, _) => (
            Tone::Good,
            "the host outlived a request to this endpoint: it is no suspect any more",
        ),
    };
    (tone, words.to_owned())
}

fn attempt(decision: &Value) -> (Tone, String) {
    let time = |key: &str| span(decision.get(key).and_then(Value::as_f64).unwrap_or(0.0));
    let is_probe = decision.get("probe").and_then(Value::as_bool) == Some(true);
    let attempt = decision.get("attempt").and_then(Value::as_u64).unwrap_or(1);
    let what = match (is_probe, attempt) {
        (true, _) => "trial request".to_owned(),
        (false, 1) => "asked".to_owned(),
        (false, n) => format!("attempt {n}"),
    };
    match decision.get("error_type").and_then(Value::as_str) {
        None => (Tone::Good, format!("{what}: answered in {}", time("took"))),
        Some("timeout") => (
            Tone::Bad,
            format!("{what}: no answer within {}", time("timeout")),
        ),
        Some(error) => (
            Tone::Bad,
            format!("{what}: failed with `{error}` after {}", time("took")),
        ),
    }
}

fn transition(decision: &Value) -> (Tone, String) {
    let text = |key: &str| {
        decision
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let failures = decision
        .get("failures")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let level = text("level");
    match text("reason") {
        "failure_threshold" => (
            Tone::Bad,
            format!("the breaker of the {level} opened after {failures} failures in a row"),
        ),
        "open_expired" => (
            Tone::Plain,
            format!("the breaker of the {level} is half-open: the next request is a trial"),
        ),
        "probe_failed" => (
            Tone::Bad,
            format!("the trial request failed: the breaker of the {level} is open again"),
        ),
        "probe_succeeded" => (
            Tone::Good,
            format!("the trial request succeeded: the breaker of the {level} closed"),
        ),
        other => (Tone::Plain, format!("breaker of the {level}: {other}")),
    }
}

/// Why there is no further attempt.
fn stop(reason: &str) -> String {
    match reason {
        "budget" => "the retries of the receiver are used up for now".to_owned(),
        "deadline" => "the poll would take too long".to_owned(),
        "open" => "the breaker is open".to_owned(),
        "retry_after" => "the server asked for a longer pause".to_owned(),
        "exhausted" => "all retries are used up".to_owned(),
        "not_retryable" => "it would fail again in the same way".to_owned(),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;

    #[test]
    fn decisions_are_told_in_words_and_the_latest_comes_first() {
        let decisions = json!([
            {"number": 7, "at": "1970-01-01T00:01:00Z", "endpoint": "/status", "event": "attempt",
             "attempt": 2, "probe": false, "timeout": 1.0, "took": 0.25, "error_type": "connect"},
            {"number": 8, "at": "1970-01-01T00:01:02Z", "endpoint": null, "event": "transition",
             "level": "host", "from": "closed", "to": "open", "reason": "failure_threshold",
             "failures": 5},
            {"number": 9, "at": "1970-01-01T00:01:03Z", "endpoint": "/status", "event": "refused",
             "level": "host", "retry_in": 29.0, "times": 12},
        ]);
        let rows = latest_first(&decisions, UNIX_EPOCH + Duration::from_secs(70));
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.number, row.seconds_ago, row.tone, row.words.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    9,
                    7,
                    Tone::Bad,
                    "not asked, 12 times; the last time the breaker of the host was open for 29 s more"
                ),
                (
                    8,
                    8,
                    Tone::Bad,
                    "the breaker of the host opened after 5 failures in a row"
                ),
                (
                    7,
                    10,
                    Tone::Bad,
                    "attempt 2: failed with `connect` after 250 ms"
                ),
            ]
        );
    }
}

//! One source of targets: asked again and again, and what it last said well is kept.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::StatusCode;
use tokio::time::{Instant, sleep, timeout};

use super::{
    group::{ParseError, Parsed},
    status::SourceReport,
};
use crate::{
    client::{auth::AuthError, content_encoding::DecodeError},
    runtime::seconds,
    telemetry::chain,
};

/// The largest file or answer.
pub(super) const BODY_BYTES_MAX: u64 = 32 << 20;

/// After a failure a source is asked again that soon, and at twice the time after each further
/// one, but no later than at its interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// While an empty list is not obeyed, its source is asked again after 1, 2, 4, and then every 8 s.
const EMPTY_RETRY_MAX: Duration = Duration::from_secs(8);

/// Where target groups come from.
#[async_trait]
pub(super) trait Provider: Send {
    /// Asks once. What it says consists of parts that can fail each alone.
    async fn refresh(&mut self) -> Result<Vec<SourcePart>, RefreshError>;

    /// Ends when there is a reason to ask before the interval is over.
    async fn woken(&mut self) {
        std::future::pending::<()>().await;
    }
}

/// A file, a URL or a name.
#[derive(Debug)]
pub(super) struct SourcePart {
    pub(super) key: String,
    pub(super) result: Result<Parsed, RefreshError>,
}

/// Why a source, or a part of it, said nothing of use.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefreshError {
    #[error("cannot read the file")]
    Read(#[source] std::io::Error),
    #[error("larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the files are larger than {} bytes together", 4 * BODY_BYTES_MAX)]
    TooLargeTogether,
    #[error("the objects, or the targets that follow from them, are larger than {0} bytes")]
    ObjectsTooLarge(usize),
    #[error("the API server cannot be asked")]
    Kubernetes {
        reason: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("not UTF-8 text")]
    NotUtf8,
    #[error(transparent)]
    Syntax(#[from] ParseError),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer is no application/json")]
    ContentType,
    #[error("the request failed")]
    Request(#[source] reqwest::Error),
    #[error(transparent)]
    Encoding(#[from] DecodeError),
    #[error("the credentials cannot be used")]
    Credentials(#[from] AuthError),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the lookup failed")]
    Lookup(#[source] Box<hickory_resolver::net::NetError>),
    #[error("the list is empty; it is obeyed when it has been empty for {}", seconds(*.0))]
    Empty(Duration),
    #[error("the collector stops")]
    Stopped,
}

impl RefreshError {
    /// The class of the error, for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Read(_) => "read",
            Self::TooLarge | Self::TooLargeTogether | Self::ObjectsTooLarge(_) => "too_large",
            Self::Kubernetes { reason, .. } => reason,
            Self::NotUtf8 | Self::Syntax(_) => "syntax",
            Self::Status(_) => "status",
            Self::ContentType => "content_type",
            Self::Request(_) => "request",
            Self::Encoding(DecodeError::TooLarge) => "too_large",
            Self::Encoding(_) => "encoding",
            Self::Credentials(_) => "credentials",
            Self::Timeout(_) => "timeout",
            Self::Lookup(_) => "lookup",
            Self::Empty(_) => "empty",
            Self::Stopped => "stopped",
        }
    }
}

/// A source and what it last said well.
pub(super) struct DiscoverySource {
    provider: Box<dyn Provider>,
    timing: SourceTiming,
    report: SourceReport,
    parts: BTreeMap<String, PartSnapshot>,
    /// Whether it ever answered: a source that never answered does not pass for one without
    /// targets.
    was_heard: bool,
    /// Why it last failed as a whole.
    error: Option<String>,
}

/// When a source is asked, and when an empty list is obeyed.
#[derive(Debug, Clone, Copy)]
pub(super) struct SourceTiming {
    /// How often it is asked.
    pub(super) interval: Duration,
    /// How long a list must stay empty before its targets are dropped. A Target Allocator answers
    /// `200 []` for some seconds after its start, and for as long as its API server is away.
    pub(super) keep_on_empty: Duration,
}

/// What a refresh came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefreshOutcome {
    /// At least one part named what its targets are now.
    Answered,
    /// A part is empty, which is not obeyed yet, but at this time.
    Empty(Instant),
    Failed,
}

/// What one part last said well, and what was logged of it.
#[derive(Debug, Default)]
struct PartSnapshot {
    /// None before its first list that was obeyed.
    said: Option<Arc<Parsed>>,
    /// Since when all of its lists have been empty, which is not obeyed yet.
    empty_since: Option<Instant>,
    error: Option<String>,
}

impl PartSnapshot {
    /// How many groups it names.
    fn groups(&self) -> usize {
        self.said.as_ref().map_or(0, |said| said.groups.len())
    }
}

/// What a source knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SourceSnapshot {
    /// One list a part.
    pub(super) parts: Vec<Arc<Parsed>>,
}

impl DiscoverySource {
    pub(super) fn new(
        provider: Box<dyn Provider>,
        timing: SourceTiming,
        report: SourceReport,
    ) -> Self {
        Self {
            provider,
            timing,
            report,
            parts: BTreeMap::new(),
            was_heard: false,
            error: None,
        }
    }

    /// Its place in the configuration.
    pub(super) fn name(&self) -> &str {
        self.report.name()
    }

    /// Asks for ever, and shows `publish` what is known after each answer.
    pub(super) async fn run(mut self, publish: impl Fn(SourceSnapshot)) {
        // So many refreshes in a row failed, or so many found an empty list.
        let (mut failures, mut empties) = (0_u32, 0_u32);
        loop {
            let outcome = self.refresh().await;
            if self.was_heard {
                publish(self.known());
            }
            (failures, empties) = match outcome {
                RefreshOutcome::Answered => (0, 0),
                RefreshOutcome::Empty(_) => (0, empties.saturating_add(1)),
                RefreshOutcome::Failed => (failures.saturating_add(1), 0),
            };
            let pause = match outcome {
                RefreshOutcome::Answered => self.timing.interval,
                RefreshOutcome::Empty(obeyed) => {
                    let rest = obeyed.duration_since(Instant::now());
                    self.backoff(empties).min(EMPTY_RETRY_MAX).min(rest)
                }
                RefreshOutcome::Failed => self.backoff(failures),
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.provider.woken() => {}
            }
        }
    }

    /// The pause after so many refreshes that brought nothing: 1, 2, 4 … seconds, and no more than
    /// the interval.
    fn backoff(&self, times: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(times.saturating_sub(1));
        FIRST_RETRY
            .saturating_mul(doubled)
            .min(self.timing.interval)
    }

    /// Asks once.
    async fn refresh(&mut self) -> RefreshOutcome {
        self.report.refreshed();
        let interval = self.timing.interval;
        let answer = timeout(interval, self.provider.refresh()).await;
        match answer.unwrap_or(Err(RefreshError::Timeout(interval))) {
            Ok(parts) => {
                self.error = None;
                self.take(parts)
            }
            Err(error) => {
                let (reason, error) = (error.reason(), chain(&error));
                self.report.failed(reason, &error);
                if self.error.as_ref() != Some(&error) {
                    let (source, error) = (self.report.name(), &error);
                    tracing::warn!(
                        source,
                        error,
                        "target discovery failed; the last list is kept"
                    );
                }
                self.error = Some(error);
                RefreshOutcome::Failed
            }
        }
    }

    /// Takes what each part said in place of what it said before. A part that is not there any
    /// more has no targets any more.
    fn take(&mut self, parts: Vec<SourcePart>) -> RefreshOutcome {
        let mut before = std::mem::take(&mut self.parts);
        let (mut is_answered, mut is_whole) = (parts.is_empty(), true);
        let mut obeyed: Option<Instant> = None;
        for SourcePart { key, result } in parts {
            let last = before.remove(&key).unwrap_or_default();
            let kept = match result {
                Ok(parsed) => self.keep(&key, parsed, last),
                Err(error) => {
                    is_whole = false;
                    self.fail(&key, &error, last)
                }
            };
            is_answered |= kept.error.is_none() && kept.empty_since.is_none();
            if let Some(since) = kept.empty_since {
                is_whole = false;
                let end = since + self.timing.keep_on_empty;
                obeyed = Some(obeyed.map_or(end, |other| other.min(end)));
            }
            self.parts.insert(key, kept);
        }
        if is_whole {
            self.report.succeeded();
        }
        self.was_heard |= is_answered;
        match (obeyed, is_answered) {
            (Some(obeyed), _) => RefreshOutcome::Empty(obeyed),
            (None, true) => RefreshOutcome::Answered,
            (None, false) => RefreshOutcome::Failed,
        }
    }

    fn keep(&self, key: &str, parsed: Parsed, last: PartSnapshot) -> PartSnapshot {
        let source = self.report.name();
        if last.error.is_some() {
            tracing::info!(source, of = key, "target discovery works again");
        }
        if parsed.groups.is_empty() && (last.groups() > 0 || last.said.is_none()) {
            return self.empty(key, parsed, last);
        }
        if last.empty_since.is_some() {
            tracing::info!(source, of = key, "the target list names targets again");
        }
        self.complain(key, &parsed, &last);
        PartSnapshot {
            said: Some(Arc::new(parsed)),
            ..PartSnapshot::default()
        }
    }

    /// Keeps the last list for a while where the new one is empty. One line tells of it, and one
    /// that it is obeyed.
    fn empty(&self, key: &str, parsed: Parsed, last: PartSnapshot) -> PartSnapshot {
        let (source, groups) = (self.report.name(), last.groups());
        let keep = self.timing.keep_on_empty;
        let since = last.empty_since.unwrap_or_else(Instant::now);
        if since.elapsed() >= keep {
            if groups > 0 {
                tracing::warn!(
                    source,
                    of = key,
                    groups,
                    "the target list is empty; its targets are dropped"
                );
            }
            self.complain(key, &parsed, &last);
            return PartSnapshot {
                said: Some(Arc::new(parsed)),
                ..PartSnapshot::default()
            };
        }
        let error = RefreshError::Empty(keep);
        self.report
            .failed(error.reason(), &format!("{key}: {error}"));
        if last.empty_since.is_none() {
            let message = match groups {
                0 => "the target list is empty; the source is asked again",
                _ => "the target list is empty; the last one is kept",
            };
            // A Target Allocator answers so to a job or a collector that it does not know.
            tracing::warn!(source, of = key, groups, keep_on_empty = ?keep, "{message}");
        }
        PartSnapshot {
            said: last.said,
            empty_since: Some(since),
            error: None,
        }
    }

    /// Bad entries that last are logged once.
    fn complain(&self, key: &str, parsed: &Parsed, last: &PartSnapshot) {
        let refused = &parsed.refused;
        let before = last.said.as_ref().map(|said| &said.refused);
        if refused.count > 0 && before != Some(refused) {
            let (count, entries) = (refused.count, refused.reasons.join("; "));
            tracing::warn!(
                source = self.report.name(),
                of = key,
                count,
                entries,
                "bad entries of a target list are left out"
            );
        }
    }

    /// A failure that lasts is logged once.
    fn fail(&self, key: &str, error: &RefreshError, last: PartSnapshot) -> PartSnapshot {
        let (reason, error) = (error.reason(), chain(error));
        self.report.failed(reason, &format!("{key}: {error}"));
        if last.error.as_ref() != Some(&error) {
            tracing::warn!(
                source = self.report.name(),
                of = key,
                error,
                groups = last.groups(),
                "target discovery failed; the last list is kept"
            );
        }
        PartSnapshot {
            said: last.said,
            // What fails does not say that the list is still empty.
            empty_since: None,
            error: Some(error),
        }
    }

    fn known(&self) -> SourceSnapshot {
        SourceSnapshot {
            parts: self
                .parts
                .values()
                .filter_map(|kept| kept.said.clone())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;

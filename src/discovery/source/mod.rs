//! One source of targets: asked again and again, and what it last said well is kept.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::StatusCode;
use tokio::time::{sleep, timeout};

use super::{
    group::{ParseError, Parsed},
    status::SourceReport,
};
use crate::{client::content_encoding::DecodeError, telemetry::chain};

/// The largest file or answer.
pub(super) const BODY_BYTES_MAX: u64 = 32 << 20;

/// After a failure a source is asked again that soon, and at twice the time after each further
/// one, but no later than at its interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

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
    Credentials(#[source] std::io::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the lookup failed")]
    Lookup(#[source] Box<hickory_resolver::net::NetError>),
    #[error("the collector stops")]
    Stopped,
}

impl RefreshError {
    /// The class of the error, for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Read(_) => "read",
            Self::TooLarge | Self::TooLargeTogether => "too_large",
            Self::NotUtf8 | Self::Syntax(_) => "syntax",
            Self::Status(_) => "status",
            Self::ContentType => "content_type",
            Self::Request(_) => "request",
            Self::Encoding(DecodeError::TooLarge) => "too_large",
            Self::Encoding(_) => "encoding",
            Self::Credentials(_) => "credentials",
            Self::Timeout(_) => "timeout",
            Self::Lookup(_) => "lookup",
            Self::Stopped => "stopped",
        }
    }
}

/// A source and what it last said well.
pub(super) struct DiscoverySource {
    provider: Box<dyn Provider>,
    interval: Duration,
    report: SourceReport,
    parts: BTreeMap<String, PartSnapshot>,
    /// Whether it ever answered: one of which nothing was heard does not pass for one without
    /// targets.
    was_heard: bool,
    /// Why it last failed as a whole.
    error: Option<String>,
}

/// What one part last said well, and what was logged of it.
#[derive(Debug, Default)]
struct PartSnapshot {
    said: Arc<Parsed>,
    error: Option<String>,
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
        interval: Duration,
        report: SourceReport,
    ) -> Self {
        Self {
            provider,
            interval,
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
        let mut failures = 0_u32;
        loop {
            let is_answered = self.refresh().await;
            self.was_heard |= is_answered;
            if self.was_heard {
                publish(self.known());
            }
            failures = match is_answered {
                true => 0,
                false => failures.saturating_add(1),
            };
            tokio::select! {
                () = sleep(self.pause(failures)) => {}
                () = self.provider.woken() => {}
            }
        }
    }

    fn pause(&self, failures: u32) -> Duration {
        let Some(before) = failures.checked_sub(1) else {
            return self.interval;
        };
        let retry = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(before));
        retry.min(self.interval)
    }

    /// Asks once; whether anything was said well.
    async fn refresh(&mut self) -> bool {
        self.report.refreshed();
        let answer = timeout(self.interval, self.provider.refresh()).await;
        match answer.unwrap_or(Err(RefreshError::Timeout(self.interval))) {
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
                false
            }
        }
    }

    /// Takes what each part said in place of what it said before. A part that is not there any
    /// more has no targets any more.
    fn take(&mut self, parts: Vec<SourcePart>) -> bool {
        let mut before = std::mem::take(&mut self.parts);
        let (mut is_answered, mut is_whole) = (parts.is_empty(), true);
        for SourcePart { key, result } in parts {
            let last = before.remove(&key).unwrap_or_default();
            let kept = match result {
                Ok(parsed) => {
                    is_answered = true;
                    self.keep(&key, parsed, &last)
                }
                Err(error) => {
                    is_whole = false;
                    self.fail(&key, &error, last)
                }
            };
            self.parts.insert(key, kept);
        }
        if is_whole {
            self.report.succeeded();
        }
        is_answered
    }

    fn keep(&self, key: &str, parsed: Parsed, last: &PartSnapshot) -> PartSnapshot {
        let refused = &parsed.refused;
        let source = self.report.name();
        if last.error.is_some() {
            tracing::info!(source, of = key, "target discovery works again");
        }
        if refused.count > 0 && *refused != last.said.refused {
            let (count, entries) = (refused.count, refused.reasons.join("; "));
            tracing::warn!(
                source,
                of = key,
                count,
                entries,
                "bad entries of a target list are left out"
            );
        }
        PartSnapshot {
            said: Arc::new(parsed),
            error: None,
        }
    }

    /// A failure that lasts is logged once.
    fn fail(&self, key: &str, error: &RefreshError, last: PartSnapshot) -> PartSnapshot {
        let (reason, error) = (error.reason(), chain(error));
        self.report.failed(reason, &format!("{key}: {error}"));
        if last.error.as_ref() != Some(&error) {
            let (source, groups) = (self.report.name(), last.said.groups.len());
            tracing::warn!(
                source,
                of = key,
                error,
                groups,
                "target discovery failed; the last list is kept"
            );
        }
        PartSnapshot {
            error: Some(error),
            ..last
        }
    }

    fn known(&self) -> SourceSnapshot {
        SourceSnapshot {
            parts: self
                .parts
                .values()
                .map(|kept| Arc::clone(&kept.said))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;

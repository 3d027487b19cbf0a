//! Answers `/probe`: finds the receiver that can poll the target, and maps its bodies.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    instruments::{self, TargetInstruments},
    pipeline::{
        CacheStatus, CachedAnswer, EndpointPoll, ErrorType, Poll, PollFailure, PollOutcome, Probe,
        ProbeOrder, ProbeRefusal, ProbeRequest, Probed, ProbedEndpoint, Prober, StatusBoard,
        Target, TargetStatus,
    },
    processors::mapping,
    runtime::{Clock, heavy},
    settings::HttpUrl,
    telemetry::target_metrics::MetricsLevel,
};

/// Knows which receiver polls which target. The answer passes no processor, because some of them
/// would count a target of one moment as one of the fleet.
#[derive(Debug, Clone)]
pub(super) struct Probes {
    pub(super) board: Arc<StatusBoard>,
    pub(super) clock: Clock,
}

/// The target, its poll, and the age of each cached answer.
type ProbeAnswer = (Arc<Target>, Poll, Vec<Option<Duration>>);

impl Probe for Probes {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Probed, ProbeRefusal>> {
        let probes = self.clone();
        async move {
            let started = Instant::now();
            let deadline = started + request.timeout;
            let (target, mut poll, ages) = match probes.find(&request.target) {
                Some(status) => probes.polled(&request, &status, deadline).await?,
                None => probes.unknown(request, deadline).await?,
            };
            let is_large = poll.is_large();
            let map = || mapped(target, &mut poll, &ages, started.elapsed());
            Ok(match is_large {
                true => heavy::here(map).await,
                false => map(),
            })
        }
        .boxed()
    }
}

impl Probes {
    /// A target that a receiver polls, by its name, its URL, or the address of one of its
    /// instances.
    fn find(&self, name: &str) -> Option<TargetStatus> {
        let endpoint = || endpoint(name);
        let by_url = || self.board.find(endpoint()?.get().as_str());
        let by_instance = || self.board.at(&endpoint()?.address());
        let known = self.board.find(name);
        known.or_else(by_url).or_else(by_instance)
    }

    /// Reads it like the status API. The deadline ends the wait, not the poll.
    async fn polled(
        &self,
        request: &ProbeRequest,
        status: &TargetStatus,
        deadline: Instant,
    ) -> Result<ProbeAnswer, ProbeRefusal> {
        let target = &status.target;
        if let Some(asked) = &request.definition {
            let probers = self.board.probers();
            let known = probers.get(&target.receiver);
            let known = known.map_or_else(Vec::new, |prober| prober.definitions());
            if *asked != target.definition.name && !known.contains(asked) {
                return Err(ProbeRefusal::Definition {
                    target: request.target.clone(),
                    definition: asked.clone(),
                    known: known.join(", "),
                });
            }
        }
        let indices = 0..target.definition.endpoints.len();
        let reads = join_all(indices.map(async |index| {
            let read = status.inner.read(index);
            timeout_at(deadline, read).await.unwrap_or_else(|_| late())
        }));
        let reads = reads.await;
        let ages = reads.iter().map(|read| match read.served {
            CacheStatus::Hit => read.age,
            _ => None,
        });
        let ages = ages.collect();
        Ok((Arc::clone(target), self.as_poll(reads), ages))
    }

    /// A target that no receiver polls.
    async fn unknown(
        &self,
        request: ProbeRequest,
        deadline: Instant,
    ) -> Result<ProbeAnswer, ProbeRefusal> {
        let ProbeRequest {
            target,
            definition,
            allow,
            ..
        } = request;
        if allow.is_empty() {
            return Err(ProbeRefusal::NotAllowed { target });
        }
        let Some(endpoint) = endpoint(&target) else {
            return Err(ProbeRefusal::Target { target });
        };
        let prober = choose(self.board.probers(), &target, definition.as_deref())?;
        let order = ProbeOrder {
            endpoint,
            definition,
            deadline,
            allow,
        };
        let (target, poll) = prober.probe(order).await?;
        let ages = vec![None; poll.endpoints.len()];
        Ok((target, poll, ages))
    }

    /// The answers as a poll for the mapping. A stale answer does not count as an answer of a
    /// probe.
    fn as_poll(&self, reads: Vec<CachedAnswer>) -> Poll {
        let now = self.clock.now();
        let endpoints = reads.into_iter().map(|read| {
            let failure = || read.failure.unwrap_or_else(PollFailure::lost);
            EndpointPoll::new(match (read.served, read.body) {
                (CacheStatus::Hit | CacheStatus::Fresh | CacheStatus::Revalidated, Some(body)) => {
                    PollOutcome::Fresh(body)
                }
                _ => PollOutcome::Failed(failure()),
            })
        });
        Poll {
            started: now,
            ended: now,
            counting_since: now,
            duration: Duration::ZERO,
            missed_ticks: 0,
            endpoints: endpoints.collect(),
            level: MetricsLevel::default(),
            own: Vec::new(),
        }
    }
}

/// The target as scheme, host and port. Otherwise the client could choose the path.
fn endpoint(target: &str) -> Option<HttpUrl> {
    let url = match target.contains("://") {
        true => target.parse::<HttpUrl>(),
        false => format!("http://{target}").parse(),
    };
    let url = url.ok()?;
    Some(url).filter(|url| url.is_base() && url.get().path() == "/")
}

/// The receiver that has this definition, or the only receiver if none is given. Of several ones
/// the first by name is used.
fn choose(
    probers: BTreeMap<String, Arc<dyn Prober>>,
    target: &str,
    definition: Option<&str>,
) -> Result<Arc<dyn Prober>, ProbeRefusal> {
    let known: Vec<_> = probers
        .into_values()
        .map(|p| (p.definitions(), p))
        .collect();
    let names = || {
        let mut names: Vec<_> = known.iter().flat_map(|(names, _)| names.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    };
    let speaks = |asked: &str| {
        known
            .iter()
            .find(|(names, _)| names.iter().any(|n| n == asked))
    };
    let chosen = match definition {
        Some(asked) => speaks(asked).ok_or_else(|| ProbeRefusal::Definition {
            target: target.to_owned(),
            definition: asked.to_owned(),
            known: names(),
        }),
        None => {
            let first = known.first();
            let alike = known
                .iter()
                .all(|(names, _)| Some(names) == first.map(|(names, _)| names));
            let first = first.filter(|_| alike);
            first.ok_or_else(|| ProbeRefusal::NoDefinition { known: names() })
        }
    };
    chosen.map(|(_, prober)| Arc::clone(prober))
}

/// The metrics of the bodies.
fn mapped(
    target: Arc<Target>,
    poll: &mut Poll,
    ages: &[Option<Duration>],
    duration: Duration,
) -> Probed {
    let definition = &target.definition;
    let endpoints = poll.endpoints.iter().zip(ages);
    let endpoints = endpoints.map(|(polled, age)| ProbedEndpoint {
        failure: polled.failure().map(|failure| failure.error_type),
        age: *age,
    });
    let endpoints: Vec<_> = endpoints.collect();
    for failure in poll.endpoints.iter().filter_map(EndpointPoll::failure) {
        let error = &*failure.message;
        tracing::debug!(
            target = target.name,
            error,
            "an endpoint gave no answer to a probe"
        );
    }
    let scopes = definition.endpoints.iter().zip(&endpoints);
    let scopes = scopes.filter(|(_, probed)| probed.failure.is_none());
    let scopes: Vec<_> = scopes.map(|(of, _)| Arc::clone(&of.scope)).collect();
    let schema = Arc::new(definition.instruments.iter().cloned().collect());
    let mut instruments = TargetInstruments::new(&schema, &instruments::resource(&target));
    instruments.observe_at(poll.time(), &[]);
    instruments.put(mapping::map(definition, poll).values);
    let mut collected = instruments.collect(&scopes, false);
    Probed {
        time: poll.time(),
        duration,
        endpoints,
        resource: Arc::clone(&collected.resource),
        metrics: std::mem::take(&mut collected.metrics),
        histograms: std::mem::take(&mut collected.histograms),
        target,
    }
}

/// No answer came in time.
fn late() -> CachedAnswer {
    CachedAnswer::missing(PollFailure {
        error_type: ErrorType::Timeout,
        message: "no answer within the timeout of the probe".into(),
    })
}

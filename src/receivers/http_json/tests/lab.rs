//! A server in memory that follows a script, and pollers of it.

use std::time::UNIX_EPOCH;

use ::http::header;

use super::*;
use crate::{
    client::auth::Authenticators,
    definition::Method,
    receivers::{contract::PolledOnce, http_json::poll::places::Places, network::Network},
    resilience::{caution::Heard, per_instance::PerInstance, retry, state::BreakerState},
    telemetry::target_metrics::MetricsLevel,
};

/// Long enough for the requests of one round to be in flight together.
const MOMENT: Duration = Duration::from_millis(1);

/// The reaction to one request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    /// A good body, at once.
    Good,
    /// A good body, after a delay.
    After(Duration),
    /// A good body with this `ETag`, or 304 for a request with it.
    Tagged(&'static str),
    /// A status, perhaps with a `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// A status with a good body.
    StatusWithBody(u16),
    /// No response, forever.
    Hang,
    /// The connection is lost after a delay.
    Cut(Duration),
    /// No connection.
    Refuse,
    /// A body that is not JSON.
    Garbage,
    /// A body that is too large.
    Huge,
}

/// A received request.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// The time since the start.
    pub(super) at: Duration,
    pub(super) path: String,
    /// `If-None-Match`.
    pub(super) tag: Option<String>,
}

type Script = Box<dyn Fn(&Sent) -> Reply + Send + Sync>;

/// The server.
pub(super) struct ScriptedServer {
    begun: Instant,
    script: Mutex<Script>,
    sent: Mutex<Vec<Sent>>,
    in_flight: AtomicUsize,
}

/// A request in flight until it is dropped.
struct InFlight<'l>(&'l AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ScriptedServer {
    pub(super) fn new(script: impl Fn(&Sent) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            script: Mutex::new(Box::new(script)),
            sent: Mutex::default(),
            in_flight: AtomicUsize::new(0),
        })
    }

    /// Sets the script.
    pub(super) fn now(&self, script: impl Fn(&Sent) -> Reply + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub(super) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// The number of received requests.
    pub(super) fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// The times of the requests, in whole seconds since the start.
    pub(super) fn seconds(&self) -> Vec<u64> {
        let rounded = |sent: &Sent| (sent.at + Duration::from_millis(20)).as_secs();
        self.sent().iter().map(rounded).collect()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Transport for ScriptedServer {
    async fn fetch(&self, request: &TransportRequest) -> Result<TransportResponse, TransportError> {
        let tag = request.headers.get(header::IF_NONE_MATCH);
        let sent = Sent {
            at: self.begun.elapsed(),
            path: request.url.path().to_owned(),
            tag: tag.map(|tag| tag.to_str().unwrap().to_owned()),
        };
        let reply = (self.script.lock().unwrap())(&sent);
        let has = sent.tag.clone();
        self.sent.lock().unwrap().push(sent);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let _in_flight = InFlight(&self.in_flight);
        if !matches!(reply, Reply::Hang | Reply::Cut(_) | Reply::Refuse) {
            request.begin();
        }
        match reply {
            Reply::StatusWithBody(code) => Ok(answer(code, "{}")),
            Reply::Good => Ok(answer(200, "{}")),
            Reply::After(after) => {
                sleep(after).await;
                Ok(answer(200, "{}"))
            }
            Reply::Tagged(tag) => Ok(tagged(tag, has.as_deref())),
            Reply::Status(code, retry_after) => {
                sleep(MOMENT).await;
                Ok(status(code, retry_after))
            }
            Reply::Hang => std::future::pending().await,
            Reply::Cut(after) => {
                sleep(after).await;
                Err(TransportError::Cut("cut".into()))
            }
            Reply::Refuse => {
                sleep(MOMENT).await;
                Err(TransportError::Connect("refused".into()))
            }
            Reply::Garbage => Ok(answer(200, "{")),
            Reply::Huge => Err(TransportError::TooLarge { limit_bytes: 1024 }),
        }
    }
}

fn tagged(tag: &'static str, has: Option<&str>) -> TransportResponse {
    let mut response = if has == Some(tag) {
        answer(304, "")
    } else {
        answer(200, "{}")
    };
    response.headers.insert(header::ETAG, tag.parse().unwrap());
    response
}

fn status(code: u16, retry_after: Option<u64>) -> TransportResponse {
    let mut response = answer(code, "");
    if let Some(seconds) = retry_after {
        response.headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The defaults without randomness: no jitter, and a timeout that does not learn.
pub(super) fn settings() -> ResilienceSettings {
    let retry = retry::RetryPolicy {
        jitter: 0.0,
        ..RetryConfig::default().policy()
    };
    ResilienceSettings {
        deadline: INTERVAL / 10 * 9,
        statuses: Statuses::default(),
        retry,
        circuit_breaker: CircuitBreakerConfig {
            open_jitter: 0.0,
            ..CircuitBreakerConfig::default()
        },
        ..single_attempts()
    }
}

/// Defaults with breakers that never open.
pub(super) fn never_open() -> ResilienceSettings {
    let mut settings = settings();
    settings.circuit_breaker.failure_threshold = u32::MAX;
    settings
}

fn clock() -> Clock {
    Clock::starting_at(UNIX_EPOCH + Duration::from_secs(1_000_000))
}

fn shared(
    concurrency: usize,
    clock: &Clock,
    telemetry: &Arc<ReceiverTelemetry>,
) -> Arc<ReceiverParts> {
    Arc::new(ReceiverParts {
        headers: HeaderMap::new(),
        parameters: Arc::default(),
        auth: None,
        body_limit_bytes: 1024,
        memory: Allowance::new(u64::MAX),
        kept: Allowance::new(u64::MAX),
        places: Arc::new(Places::new(concurrency)),
        clock: clock.clone(),
        telemetry: Arc::clone(telemetry),
        mappers: BodyMappers::default(),
        keeps_text: true,
    })
}

/// The mapping of tests that look at requests and not at values.
pub(super) const NOTHING: DocumentMapping = DocumentMapping {
    whole: |_, _, _| Readings::default(),
    part: |_, _, document| PartReadings {
        group: document.group,
        readings: Readings::default(),
        rules: Vec::new(),
        start_gap: None,
    },
    join: |_, _, _| Readings::default(),
};

/// What a receiver with the name `id` needs in addition to its settings.
pub(super) fn context(
    id: &str,
    meter: &Meter,
    board: &Arc<StatusBoard>,
    names: &Arc<TargetNames>,
) -> ReceiverContext {
    ReceiverContext {
        id: id.to_owned(),
        clock: clock(),
        meter: meter.clone(),
        board: Arc::clone(board),
        names: Arc::clone(names),
        network: Network::default(),
        authenticators: Authenticators::default(),
        states: Arc::default(),
        mapping: NOTHING,
        keeps_text: true,
        polled_once: PolledOnce::default(),
    }
}

/// A receiver with the name `id` and no targets. All its targets are the same server.
pub(super) fn receiver(
    id: &str,
    meter: &Meter,
    lab: &Arc<ScriptedServer>,
    board: &Arc<StatusBoard>,
    names: &Arc<TargetNames>,
) -> HttpJsonReceiver {
    let context = context(id, meter, board, names);
    let telemetry = Arc::new(ReceiverTelemetry::new(&context.meter, id));
    let server = Arc::clone(lab) as Arc<dyn Transport>;
    let spec = ReceiverSpec {
        settings: Config::default().poll_settings(&[], &context),
        definitions: vec![definition(&["/a"])],
        clients: Arc::new(server),
        level: MetricsLevel::Detailed,
        shared: shared(8, &context.clock, &telemetry),
        shared_by_probes: shared(8, &context.clock, &telemetry),
        fleet: ReceiverResilience::new(settings()),
        resilience: settings(),
        context,
    };
    HttpJsonReceiver {
        discovered_by: Arc::new(DiscoveredBy::new(&Config::default(), &spec.context)),
        spec: Arc::new(spec),
        targets: Vec::new(),
        timing: every(INTERVAL),
        shard: None,
        discovery: TargetDiscovery::None,
    }
}

/// A poller of `paths` at one host of a fleet, with any transport.
pub(super) fn before(
    transport: &Arc<impl Transport + 'static>,
    fleet: &Arc<ReceiverResilience>,
    concurrency: usize,
    paths: &[&'static str],
) -> TargetPoller {
    let server = Arc::clone(transport) as Arc<dyn Transport>;
    before_each(&PerInstance::one(server), fleet, concurrency, paths)
}

/// A poller of `paths` at several instances, `a`, `b` and so on.
pub(super) fn replicas(
    labs: &[Arc<ScriptedServer>],
    settings: ResilienceSettings,
    paths: &[&'static str],
) -> TargetPoller {
    before_each(
        &instances(labs),
        &ReceiverResilience::new(settings),
        8,
        paths,
    )
}

fn instances(labs: &[Arc<ScriptedServer>]) -> PerInstance<Arc<dyn Transport>> {
    let mut servers = labs.iter().map(|lab| Arc::clone(lab) as Arc<dyn Transport>);
    PerInstance::new(servers.next().unwrap(), servers)
}

fn before_each(
    servers: &PerInstance<Arc<dyn Transport>>,
    fleet: &Arc<ReceiverResilience>,
    concurrency: usize,
    paths: &[&'static str],
) -> TargetPoller {
    let poller = before_strangers(servers, fleet, concurrency, paths);
    // The host has survived a request to each endpoint.
    let answered = (0..paths.len()).map(|index| (index, Heard::Answer));
    poller.host.heard_together(&answered.collect::<Vec<_>>());
    poller
}

/// A poller without any state of the host.
fn before_strangers(
    servers: &PerInstance<Arc<dyn Transport>>,
    fleet: &Arc<ReceiverResilience>,
    concurrency: usize,
    paths: &[&'static str],
) -> TargetPoller {
    let clock = clock();
    let telemetry = Arc::new(ReceiverTelemetry::new(&meter(), "test"));
    let shared = shared(concurrency, &clock, &telemetry);
    let definition = definition(paths);
    let names = ["a", "b", "c", "d", "e"].into_iter().take(servers.count());
    let urls = names
        .clone()
        .map(|of| format!("http://{of}").parse().unwrap());
    let names = names.map(Arc::from).filter(|_| servers.are_several());
    let keys = TargetKeys::new(&definition, urls.collect(), names.collect());
    let host = TargetResilience::new(&fleet.join(), "node", keys, &clock);
    TargetPoller {
        target: Arc::new(Target::named("node", &definition)),
        endpoints: Box::default(),
        host: Arc::new(host),
        clock,
        board: Arc::new(StatusBoard::default()),
        telemetry,
        level: MetricsLevel::Detailed,
    }
    .asking(servers, &shared)
}

impl TargetPoller {
    /// Polls the endpoints of its target at these servers.
    pub(super) fn asking(
        mut self,
        servers: &PerInstance<Arc<dyn Transport>>,
        shared: &Arc<ReceiverParts>,
    ) -> Self {
        let definition = &self.target.definition;
        let endpoints = definition.endpoints.iter().enumerate();
        let endpoints = endpoints.map(|(index, endpoint)| EndpointPoller {
            labels: endpoint.labels(),
            telemetry: shared.telemetry.endpoint(Method::Get, &endpoint.labels()),
            sites: servers.map(|server| EndpointAddress {
                url: EndpointUrl::Fixed(format!("http://node{}", endpoint.path).parse().unwrap()),
                auth: None,
                transport: Arc::clone(server),
            }),
            values: RequestValues {
                request: Arc::default(),
                target: Arc::clone(&self.target),
                parameters: Arc::default(),
            },
            every: 1,
            pages: None,
            origin: None,
            mapper: Arc::new(BodyMapper {
                reader: Arc::new(Reader::json(1024)),
                definition: Arc::clone(definition),
                endpoint: index,
                mapping: NOTHING,
            }),
            shared: Arc::clone(shared),
            host: Arc::clone(&self.host),
            index,
            made: Mutex::default(),
        });
        self.endpoints = endpoints.collect();
        self
    }
}

/// What polls a target after a reload, with other endpoints.
pub(super) fn reloaded(
    old: &TargetPoller,
    lab: &Arc<ScriptedServer>,
    paths: &[&'static str],
) -> TargetPoller {
    let definition = definition(paths);
    let keys = TargetKeys::new(&definition, vec!["http://a".parse().unwrap()], Vec::new());
    let host = old.host.renewed("node", keys);
    host.arrange();
    let server = Arc::clone(lab) as Arc<dyn Transport>;
    TargetPoller {
        target: Arc::new(Target::named("node", &definition)),
        endpoints: Box::default(),
        host: Arc::new(host),
        clock: old.clock.clone(),
        board: Arc::clone(&old.board),
        telemetry: Arc::clone(&old.telemetry),
        level: old.level,
    }
    .asking(&PerInstance::one(server), &old.endpoints[0].shared)
}

/// A poller of `paths` at an unknown host.
pub(super) fn stranger(
    lab: &Arc<ScriptedServer>,
    settings: ResilienceSettings,
    paths: &[&'static str],
) -> TargetPoller {
    let server = Arc::clone(lab) as Arc<dyn Transport>;
    before_strangers(
        &PerInstance::one(server),
        &ReceiverResilience::new(settings),
        8,
        paths,
    )
}

/// A poller of `paths` at several unknown instances.
pub(super) fn strange_replicas(
    labs: &[Arc<ScriptedServer>],
    settings: ResilienceSettings,
    paths: &[&'static str],
) -> TargetPoller {
    before_strangers(
        &instances(labs),
        &ReceiverResilience::new(settings),
        8,
        paths,
    )
}

/// A poller of `paths` at the only host of its fleet.
pub(super) fn alone(
    lab: &Arc<ScriptedServer>,
    settings: ResilienceSettings,
    paths: &[&'static str],
) -> TargetPoller {
    before(lab, &ReceiverResilience::new(settings), 8, paths)
}

/// The sum of the readings of this name that have all these attributes.
pub(super) fn reading(own: &[OwnReading], metric: &str, attributes: &[(&str, &str)]) -> f64 {
    let has = |reading: &OwnReading, (key, value): &(&str, &str)| {
        let mut all = reading.attributes.iter();
        all.any(|found| found.key.as_str() == *key && found.value.as_str() == *value)
    };
    own.iter()
        .filter(|reading| reading.metric.short_name() == metric)
        .filter(|reading| attributes.iter().all(|attribute| has(reading, attribute)))
        .map(|reading| number(&reading.value))
        .sum()
}

fn number(value: &Number) -> f64 {
    match value {
        Number::Unsigned(value) => *value as f64,
        Number::Negative(value) => *value as f64,
        Number::Double(value) => *value,
    }
}

/// The state of the host's breaker.
pub(super) fn host_state(poller: &TargetPoller) -> BreakerState {
    match poller.host.host()["breaker"]["state"].as_str() {
        Some("closed") => BreakerState::Closed,
        Some("open") => BreakerState::Open,
        Some("half_open") => BreakerState::HalfOpen,
        other => panic!("{other:?}"),
    }
}

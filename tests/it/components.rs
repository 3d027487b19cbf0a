//! A program that adds one component of each kind, without a change of the collector: each is a type
//! with a contract, and one entry of a register.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use async_trait::async_trait;
use betanet_collector::{
    config::{Config, ConfigSource, Registers},
    definition,
    exporters::{ExporterConfig, ExporterContext, ExporterType},
    extensions::{Extension, ExtensionConfig, ExtensionContext, ExtensionType},
    http::{Response, Route, ServerConfig},
    pipeline::{Batch, Consumer, Exporter, Processor, Snapshot, Stage, Stream, Target},
    processors::{ProcessorConfig, ProcessorContext, ProcessorType},
    receivers::{
        self, BuiltReceiver, Network, Receiver, ReceiverConfig, ReceiverContext, ReceiverType,
    },
    runtime::{Clock, DedicatedRuntime, Tasks},
    service::{Environment, Service},
    settings::{BuildError, Capability, ComponentType, ExtensionUse},
    storage::{Directory, DirectorySettings},
    telemetry::InternalTelemetry,
    yaml::{self, Cursor, Diagnostics, Foreign},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::oneshot,
    time::{interval, sleep, timeout},
};

/// What the components did, in order.
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The thread that runs the tasks of the exporter.
static EXPORTER_THREAD: OnceLock<String> = OnceLock::new();

fn log(line: impl Into<String>) {
    LOG.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(line.into());
}

/// The one setting of each component here: a word that it puts into the log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Settings {
    word: String,
    storage: Option<betanet_collector::settings::ComponentId>,
}

fn settings(at: &Cursor<'_>, diagnostics: &mut Diagnostics) -> Option<Settings> {
    yaml::decode_foreign(at.node, &at.path, &Foreign::NONE, diagnostics)
}

/// An entry of a register.
macro_rules! entry {
    ($name:literal, $config:ident) => {
        ComponentType {
            name: $name,
            aliases: &[],
            about: "A component of a test.",
            schema: SchemaGenerator::subschema_for::<Settings>,
            foreign: &Foreign::NONE,
            decode: |_, at, diagnostics| Some(Arc::new($config(settings(at, diagnostics)?))),
        }
    };
}

const TICKER: ReceiverType = entry!("ticker", Ticker);
const STAMP: ProcessorType = entry!("stamp", Stamp);
const MEMORY: ExporterType = entry!("memory", Memory);
const SHELF: ExtensionType = entry!("shelf", Shelf);

/// A receiver whose one target has the same body at each tick.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
struct Ticker(Settings);

struct BuiltTicker(String);

struct RunningTicker;

#[async_trait]
impl ReceiverConfig for Ticker {
    fn build(&self, _context: &ReceiverContext) -> Result<Box<dyn BuiltReceiver>, BuildError> {
        Ok(Box::new(BuiltTicker(self.0.word.clone())))
    }
}

impl BuiltReceiver for BuiltTicker {
    fn start(self: Box<Self>, consumer: Arc<dyn Consumer>, tasks: &Tasks) -> Arc<dyn Receiver> {
        let text = "endpoints: {a: {path: /a}}\n\
                    metrics: [{name: value, instrument: gauge, endpoint: a, value: $.v}]\n";
        let definition = definition::from_text("ticker", "ticker.yaml", text).unwrap();
        let target = Arc::new(Target::named(&self.0, &definition));
        let stop = tasks.stopping();
        let polls = async move {
            let mut sink = consumer.open(&target);
            let mut ticks = interval(Duration::from_millis(1));
            loop {
                ticks.tick().await;
                let body = br#"{"v": 7}"#.to_vec();
                sink.accept(receivers::sample(
                    &definition,
                    vec![Some(receivers::SavedAnswer::Whole(body))],
                    &Clock::System,
                ));
            }
        };
        tasks.spawn("ticker", async move {
            stop.run_until_cancelled(polls).await;
        });
        Arc::new(RunningTicker)
    }
}

impl Receiver for RunningTicker {}

/// A processor that counts the readings.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
struct Stamp(Settings);

impl ProcessorConfig for Stamp {
    fn build(&self, context: &ProcessorContext<'_>) -> Arc<dyn Processor> {
        log(format!("{} built", context.id));
        Arc::new(Self(self.0.clone()))
    }
}

impl Processor for Stamp {
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage> {
        log(format!("stamp opens {}", stream.target.name));
        Box::new(Self(self.0.clone()))
    }
}

impl Stage for Stamp {
    fn process(&mut self, batch: Batch) -> Batch {
        batch
    }
}

/// An exporter that logs each target once, and when it is gone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
struct Memory(Settings);

impl ExporterConfig for Memory {
    fn uses(&self) -> Vec<ExtensionUse<'_>> {
        let storage = self.0.storage.iter();
        let uses = storage.map(|id| ExtensionUse {
            id,
            needs: Capability::Storage,
            key: vec!["storage".to_owned()],
        });
        uses.collect()
    }

    fn build(&self, context: &mut ExporterContext<'_>) -> Result<Arc<dyn Exporter>, BuildError> {
        let storage = self.0.storage.as_ref();
        let directory = storage.and_then(|id| context.storages.get(id));
        log(format!("{} stores: {}", context.id, directory.is_some()));
        context.tasks.spawn("memory", async {
            let name = thread::current().name().unwrap_or_default().to_owned();
            EXPORTER_THREAD.get_or_init(|| name);
        });
        Ok(Arc::new(Self(self.0.clone())))
    }
}

impl Exporter for Memory {
    fn export(&self, snapshot: &Snapshot<'_>) {
        let messages = snapshot.otlp.messages().iter();
        let messages: Vec<_> = messages
            .filter_map(|message| message.decode().ok())
            .collect();
        let metrics = messages.iter().flat_map(|m| &m.resource_metrics);
        let scopes = metrics.flat_map(|metrics| &metrics.scope_metrics);
        let mut names = scopes
            .flat_map(|scope| &scope.metrics)
            .map(|metric| metric.name.as_str());
        let has_value = names.any(|name| name == "value");
        let line = format!("{} has a value: {has_value}", snapshot.target.name);
        let mut lines = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }

    fn forget(&self, target: &Target) {
        log(format!("{} is gone", target.name));
    }
}

/// An extension that has a directory for other components, and a page.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
struct Shelf(Settings);

struct BuiltShelf(Directory);

impl ExtensionConfig for Shelf {
    fn listens_on(&self) -> Option<ServerConfig> {
        Some(ServerConfig::plain("127.0.0.1:0".to_owned()))
    }

    fn offers(&self) -> &'static [Capability] {
        &[Capability::Storage]
    }

    fn build(&self, context: &mut ExtensionContext<'_>) -> Result<Arc<dyn Extension>, BuildError> {
        let is_new = context.running.is_none();
        log(format!("{} is new: {is_new}", context.id));
        let route = Route::get(context.id, "/shelf", |_| {
            std::future::ready(Response::text(""))
        });
        context
            .listeners
            .route(&self.listens_on().unwrap(), route)?;
        let settings = DirectorySettings {
            path: self.0.word.clone().into(),
            create: true,
            permissions: 0o700,
            timeout: Duration::ZERO,
            fsync: false,
            max_bytes: 1,
        };
        Ok(Arc::new(BuiltShelf(Directory::new(
            settings,
            context.status.clone(),
        ))))
    }
}

#[async_trait]
impl Extension for BuiltShelf {
    async fn start(&self) -> Result<(), BuildError> {
        log("shelf starts");
        Ok(())
    }

    fn storage(&self) -> Option<&Directory> {
        Some(&self.0)
    }
}

/// The components of the collector, and those of this test.
fn registers() -> Registers {
    let mut registers = Registers::builtin();
    registers.receivers.push(TICKER);
    registers.processors.push(STAMP);
    registers.exporters.push(MEMORY);
    registers.extensions.push(SHELF);
    registers
}

fn load(registers: &Registers, text: &str) -> Result<Config, String> {
    let sources = [ConfigSource::config(&format!("yaml:{text}")).unwrap()];
    let mut diagnostics = Diagnostics::new();
    let config = Config::load_with(registers, &sources, &|_: &str| None, &mut diagnostics);
    config.ok_or_else(|| diagnostics.to_string())
}

fn text(word: &str) -> String {
    format!(
        "receivers: {{ticker: {{word: {word}}}}}\n\
         processors: {{stamp: {{}}}}\n\
         exporters: {{memory: {{storage: shelf}}}}\n\
         extensions: {{shelf: {{word: /nowhere}}}}\n\
         service: {{extensions: [shelf], telemetry: {{metrics: {{level: none}}}}, pipelines: {{metrics: \
         {{receivers: [ticker], processors: [stamp], exporters: [memory]}}}}}}\n"
    )
}

/// Waits until the log has a line.
async fn logged(line: &str) {
    let until = async {
        while !LOG.lock().unwrap().iter().any(|other| other == line) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = timeout(Duration::from_secs(20), until).await;
    assert!(waited.is_ok(), "no `{line}` in {:#?}", LOG.lock().unwrap());
}

#[tokio::test]
async fn a_component_of_each_kind_is_one_entry_of_a_register() {
    let registers = registers();
    let config = load(&registers, &text("one")).unwrap();
    let exporters = DedicatedRuntime::start("exporters").unwrap();
    let environment = Environment {
        clock: Clock::System,
        seed: 1,
        listening: None,
        sending: Some(exporters.handle().clone()),
        network: Network::default(),
    };
    let telemetry = InternalTelemetry::new(&config.service.telemetry.resource).unwrap();
    let service = Service::start(&config, telemetry, &environment)
        .await
        .unwrap();
    let (reload, components) = (service.reload_trigger(), Arc::clone(service.components()));
    let (stop, stopped) = oneshot::channel::<()>();
    let running = service.run(async { drop(stopped.await) }, async || {
        load(&registers, &text("two"))
    });
    let script = async {
        logged("one has a value: true").await;
        reload.ask().await.unwrap();
        logged("two has a value: true").await;
        stop.send(()).unwrap();
    };
    let (ended, ()) = tokio::join!(running, script);
    ended.unwrap();
    let ids: Vec<_> = components
        .states()
        .into_iter()
        .map(|state| state.id)
        .collect();
    for id in ["ticker", "stamp", "memory", "shelf"] {
        assert!(ids.iter().any(|known| known == id), "no {id} in {ids:?}");
    }
    let expected = [
        "shelf is new: true",
        "memory stores: true",
        "stamp built",
        "shelf starts",
        "stamp opens one",
        "one has a value: true",
        "shelf is new: false",
        "shelf starts",
        "one is gone",
        "stamp opens two",
        "two has a value: true",
        "two is gone",
    ];
    assert_eq!(*LOG.lock().unwrap(), expected);
    let thread = EXPORTER_THREAD.get().map(String::as_str);
    assert_eq!(thread, Some("exporters"), "no poll delays what it sends");
}

#[test]
fn a_type_that_no_register_has_is_an_error_that_names_the_nearest_one() {
    let wrong = text("one").replace("exporters: {memory:", "exporters: {memroy:");
    let errors = load(&registers(), &wrong).unwrap_err();
    let expected = "unknown type: \"memroy\" for id: \"memroy\" (valid values: [debug file otlp_grpc \
                    otlp_http prometheus prometheusremotewrite memory]); did you mean `memory`?";
    assert!(errors.contains(expected), "{errors}");
    let errors = load(&Registers::builtin(), &text("one")).unwrap_err();
    for kind in ["ticker", "stamp", "memory", "shelf"] {
        assert!(
            errors.contains(&format!("unknown type: \"{kind}\"")),
            "{errors}"
        );
    }
}

#[test]
fn an_extension_that_lacks_what_a_component_needs_is_an_error() {
    let wrong = text("one").replace("storage: shelf", "storage: health_check");
    let wrong = wrong.replace("extensions: {shelf", "extensions: {health_check: {}, shelf");
    let errors = load(&registers(), &wrong).unwrap_err();
    let expected =
        "exporters::memory::storage: references extension \"health_check\" which stores nothing";
    assert!(errors.contains(expected), "{errors}");
}

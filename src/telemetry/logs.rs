//! Log lines on standard error, and the spans of polls to OTLP.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::config::{LogEncoding, LogLevel, LogsConfig};

/// What libraries say of their own traffic. In spans it would feed on itself: a push makes an
/// event, which makes a push.
const NETWORK: &str = "hyper=off,hyper_util=off,h2=off,tonic=off,tower=off,reqwest=off,rustls=off";

/// Logs from now on; spans go to `tracer` too if there is one. A second call changes nothing.
pub fn init(logs: &LogsConfig, tracer: Option<&SdkTracerProvider>) {
    let spans = tracer.map(|provider| {
        let filter = EnvFilter::new(format!("info,opentelemetry=off,{NETWORK}"));
        let layer =
            tracing_opentelemetry::layer().with_tracer(provider.tracer("betanet-collector"));
        layer
            .with_location(false)
            .with_threads(false)
            .with_filter(filter)
    });
    let subscriber = Registry::default().with(spans).with(lines(logs));
    // Only tests call this twice in a process.
    drop(subscriber.try_init());
}

fn lines<S>(logs: &LogsConfig) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let level = match logs.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    let filter = EnvFilter::new(format!(
        "{level},opentelemetry=warn,opentelemetry_sdk=warn,{NETWORK}"
    ));
    // Lines name what they are about; spans are for the trace.
    let filter = filter.and(filter_fn(|metadata| metadata.is_event()));
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    match logs.encoding {
        LogEncoding::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
        LogEncoding::Console => {
            let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            layer.with_ansi(terminal).with_filter(filter).boxed()
        }
    }
}

//! Log lines on standard error, and the spans of polls.

use std::{
    fmt as std_fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::{FilterExt as _, filter_fn},
    fmt::{
        self, FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Json, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt as _,
};

use super::config::{LogEncoding, LogLevel, LogsConfig};

/// Turns off the spans of network libraries. They would feed on themselves: a push would create a
/// span, which would create a push.
const NETWORK: &str = "hyper=off,hyper_util=off,h2=off,tonic=off,tower=off,reqwest=off,rustls=off,\
                       kube_client=off,kube_runtime=off";

/// What the events of the exporter `debug` are about.
const DEBUG_EXPORTER: &str = "debug";

/// The log of this process, and the parts of it that can change.
#[derive(Debug)]
pub(super) struct Log {
    /// Which events are logged.
    written: reload::Handle<EnvFilter, Registry>,
    /// Which spans are created.
    spans: reload::Handle<EnvFilter, Registry>,
    is_json: Arc<AtomicBool>,
}

/// The current format of a line.
struct LineFormat {
    is_json: Arc<AtomicBool>,
    console: Format<Full>,
    json: Format<Json>,
}

/// Starts logging without spans. A second call has no effect.
pub fn init(logs: &LogsConfig) {
    Log::install(logs, &SdkTracerProvider::default());
}

impl Log {
    /// Starts logging. Spans use `tracer`, and there are none before [`Self::follow`] turns them
    /// on. A second call has no effect, and its result has none either.
    pub(super) fn install(logs: &LogsConfig, tracer: &SdkTracerProvider) -> Self {
        let (some_spans, spans) = reload::Layer::new(spans_filter(false));
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer.tracer("betanet-collector"))
            .with_location(false)
            .with_threads(false)
            .with_filter(some_spans);
        let (some_events, written) = reload::Layer::new(events_filter(logs.level));
        let is_json = Arc::new(AtomicBool::new(logs.encoding == LogEncoding::Json));
        let lines = fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(wants_color())
            .event_format(LineFormat::new(&is_json))
            // A line names its own subject, so it needs no span. Spans are only for traces.
            .with_filter(some_events.and(filter_fn(|metadata| metadata.is_event())));
        let subscriber = Registry::default().with(layer.and_then(lines));
        // Only tests call this twice in a process.
        drop(subscriber.try_init());
        Self {
            written,
            spans,
            is_json,
        }
    }

    /// Applies the configuration of logs, and turns spans on or off.
    pub(super) fn follow(&self, logs: &LogsConfig, has_spans: bool) {
        let is_json = logs.encoding == LogEncoding::Json;
        self.is_json.store(is_json, Ordering::Relaxed);
        // These calls fail if another log was installed before this one.
        drop(self.written.reload(events_filter(logs.level)));
        drop(self.spans.reload(spans_filter(has_spans)));
    }
}

/// Only our own events, and warnings of OpenTelemetry's SDK. Those of other libraries may have a
/// header or a URL in them, and so a secret.
fn events_filter(level: LogLevel) -> EnvFilter {
    let level = match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    EnvFilter::new(format!(
        "off,betanet_collector={level},{DEBUG_EXPORTER}={level},opentelemetry=warn"
    ))
}

/// Creates no spans if there is no destination: each poll would pay for them.
fn spans_filter(has_spans: bool) -> EnvFilter {
    match has_spans {
        true => EnvFilter::new(format!("info,opentelemetry=off,{NETWORK}")),
        false => EnvFilter::new("off"),
    }
}

impl LineFormat {
    fn new(is_json: &Arc<AtomicBool>) -> Self {
        Self {
            is_json: Arc::clone(is_json),
            console: fmt::format().with_target(false),
            json: fmt::format().with_target(false).json().flatten_event(true),
        }
    }
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std_fmt::Result {
        match self.is_json.load(Ordering::Relaxed) {
            true => self.json.format_event(context, writer, event),
            false => self.console.format_event(context, writer, event),
        }
    }
}
/// Whether colors are wanted: a terminal reads the log, and `NO_COLOR` does not say otherwise
/// (<https://no-color.org>).
fn wants_color() -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_unwanted && std::io::IsTerminal::is_terminal(&std::io::stderr())
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Mutex, PoisonError},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_event_of_a_library_is_logged() {
        let written = Written::default();
        let writer = written.clone();
        let lines = fmt::layer()
            .with_writer(move || writer.clone())
            .with_filter(events_filter(LogLevel::Debug));
        tracing::subscriber::with_default(Registry::default().with(lines), || {
            tracing::debug!("ours");
            tracing::info!(target: "debug", "a point");
            tracing::warn!(target: "opentelemetry_sdk", "of the SDK");
            tracing::info!(target: "opentelemetry_sdk", "hunter2");
            tracing::error!(target: "hyper_util::client", "hunter2");
            tracing::error!(target: "aws_lc_rs", "hunter2");
            tracing::error!(target: "log", "hunter2");
        });
        let written = written.0.lock().unwrap().clone();
        let written = String::from_utf8(written).unwrap();
        for expected in ["ours", "a point", "of the SDK"] {
            assert!(written.contains(expected), "{written}");
        }
        assert!(!written.contains("hunter2"), "{written}");
    }
}

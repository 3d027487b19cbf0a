//! Names the trace and the span that belong to an event.

use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceId};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// A recorded span and its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The id of the trace.
    pub trace_id: TraceId,
    /// The id of the span.
    pub span_id: SpanId,
}

impl Trace {
    /// The ids of a span. `None` if spans have no destination or this span is not sampled.
    pub fn of(span: &Span) -> Option<Self> {
        if span.is_none() {
            return None;
        }
        let context = span.context();
        let span = context.span();
        let context = span.span_context();
        context.is_sampled().then(|| Self {
            trace_id: context.trace_id(),
            span_id: context.span_id(),
        })
    }
}

//! Which trace tells of something.

use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceId};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// A span that is recorded, in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub trace_id: TraceId,
    /// The span in it.
    pub span_id: SpanId,
}

impl Trace {
    /// That of a span; none if spans go nowhere, or if this one is not sampled.
    pub fn of(span: &Span) -> Option<Self> {
        let context = span.context();
        let span = context.span();
        let context = span.span_context();
        context.is_sampled().then(|| Self {
            trace_id: context.trace_id(),
            span_id: context.span_id(),
        })
    }
}

//! The OpenTelemetry Collector's dialect: sources, merging, expansion, the six sections.

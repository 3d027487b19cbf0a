//! The OpenTelemetry SDK that each polled target never had.

//! What the collector says about itself: names, logs, traces, its own metrics.

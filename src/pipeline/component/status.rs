//! The kinds of components and their statuses, with the Collector's names.

/// The kind of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComponentKind {
    /// Polls targets.
    Receiver,
    /// Changes readings.
    Processor,
    /// Sends or serves metrics.
    Exporter,
    /// Serves the operator.
    Extension,
    /// A port of the collector.
    Listener,
    /// The whole collector, for example its configuration.
    Service,
}

/// The status of a component, with the Collector's names (`docs/component-status.md` there).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComponentStatus {
    /// It does not work yet.
    Starting,
    /// It works.
    Ok,
    /// It fails and tries again.
    RecoverableError,
    /// It fails until somebody fixes it.
    PermanentError,
    /// It cannot continue, and the process ends.
    FatalError,
    /// It has stopped in order.
    Stopped,
}

impl ComponentKind {
    /// The value of `otelcol.component.kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Processor => "processor",
            Self::Exporter => "exporter",
            Self::Extension => "extension",
            Self::Listener => "listener",
            Self::Service => "service",
        }
    }
}

impl ComponentStatus {
    pub(super) const ALL: [Self; 6] = [
        Self::Starting,
        Self::Ok,
        Self::RecoverableError,
        Self::PermanentError,
        Self::FatalError,
        Self::Stopped,
    ];

    /// Whether the status is an error.
    pub fn is_error(self) -> bool {
        match self {
            Self::RecoverableError | Self::PermanentError | Self::FatalError => true,
            Self::Starting | Self::Ok | Self::Stopped => false,
        }
    }

    /// The name in the Collector's health check.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "StatusStarting",
            Self::Ok => "StatusOK",
            Self::RecoverableError => "StatusRecoverableError",
            Self::PermanentError => "StatusPermanentError",
            Self::FatalError => "StatusFatalError",
            Self::Stopped => "StatusStopped",
        }
    }

    /// The name in the label of a metric.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ok => "ok",
            Self::RecoverableError => "recoverable_error",
            Self::PermanentError => "permanent_error",
            Self::FatalError => "fatal_error",
            Self::Stopped => "stopped",
        }
    }
}

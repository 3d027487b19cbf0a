//! The kinds of components and how each can be, in the Collector's words.

/// What kind of component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComponentKind {
    /// Polls.
    Receiver,
    /// Changes what passes.
    Processor,
    /// Hands on.
    Exporter,
    /// Serves the operator.
    Extension,
    /// A port of our own.
    Listener,
    /// The collector as a whole, for example its configuration.
    Service,
}

/// How a component is; the names are the Collector's (`docs/component-status.md` there).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComponentStatus {
    /// Not at work yet.
    Starting,
    /// At work.
    Ok,
    /// It fails and tries again.
    RecoverableError,
    /// It fails until somebody mends something.
    PermanentError,
    /// It is dead, and the process ends.
    FatalError,
    /// It has ended in order.
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

    /// Whether it is one of the errors.
    pub fn is_error(self) -> bool {
        match self {
            Self::RecoverableError | Self::PermanentError | Self::FatalError => true,
            Self::Starting | Self::Ok | Self::Stopped => false,
        }
    }

    /// As the Collector's health check writes it.
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

    /// As a metric's label has it.
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

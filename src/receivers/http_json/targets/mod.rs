//! The targets of a receiver: they come and go while it runs, and go over to new settings.
//!
//! In reading order: `manager` holds one task for each target; `discovery` tells it what was found;
//! `reconcile` compares what is polled with what should be; `control` is how a task is told to stop
//! or to change; `definition_selection` is the task; `factory` builds what it polls with; `reload`
//! keeps what is known of a target when its settings change; `probe` polls a target once on demand.

pub(super) mod control;
pub(super) mod definition_selection;
pub(super) mod discovery;
pub(super) mod factory;
pub(super) mod manager;
mod probe;
mod reconcile;
mod reload;

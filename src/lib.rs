//! betanet-collector: polls HTTP JSON APIs and turns their answers into OpenTelemetry metrics.
//!
//! The modules below are in reading order. Each may use only those below it, and `receivers`,
//! `processors`, `exporters` and `extensions` must not use one another. A test in
//! `tests/it/architecture.rs` reads this list and checks the code. `ARCHITECTURE.md` explains the
//! structure.

#[doc(hidden)]
pub mod fuzz;
pub mod cli;
pub mod simulator;
pub mod service;
pub mod config;
pub mod receivers;
pub mod processors;
pub mod exporters;
pub mod extensions;
pub mod overview;
pub mod discovery;
pub mod delivery;
pub mod instruments;
pub mod resilience;
pub mod client;
pub mod http;
pub mod storage;
pub mod pipeline;
pub mod definition;
pub mod telemetry;
pub mod settings;
pub mod yaml;
pub mod runtime;

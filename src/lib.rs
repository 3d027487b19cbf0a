//! betanet-collector: polls HTTP JSON APIs and turns what they say into OpenTelemetry metrics.
//!
//! The modules below are listed in reading order, and each may use only those below it
//! (`receivers`, `processors`, `exporters` and `extensions` never see one another). A test in
//! `tests/it/architecture.rs` reads this list and holds the code to it. `ARCHITECTURE.md` says
//! what is where.

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

//! Integration tests: the structure of the code, and the real program with other real programs.
//!
//! A test that needs Prometheus or Rotel is ignored unless `tests/run` runs it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests and their helpers fail by panicking"
)]

mod alerts;
mod api;
mod authentication;
mod authenticator_secrets;
mod architecture;
mod cli;
mod config;
mod components;
mod conformance;
mod definition_tests;
mod definition_times;
mod deploy;
mod discovery;
mod disk;
mod docs;
mod documented_examples;
mod e2e_discovery;
mod e2e_otlp;
mod e2e_prometheus;
mod endpoints;
mod faults;
mod file;
mod fleet;
mod fuzz;
mod helm;
mod hostile;
mod huge_pages;
mod kill;
mod kubernetes;
mod lifecycle;
mod mistakes;
mod old_exporter;
mod outage;
mod own_telemetry;
mod pipelines;
mod probe;
mod processors;
mod replicas;
mod requests;
mod resilience;
mod real_collector;
mod reload;
mod secrets;
mod sending;
mod shape;
mod sockets;
mod status_page;
mod system_calls;
mod shards;
mod support;
mod support_check;
mod terminal;
mod tls;
mod transforms;
mod unix_sockets;
mod values;

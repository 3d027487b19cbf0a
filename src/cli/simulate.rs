//! `simulate`: shows what the user's settings do in outages, in virtual time.

use std::{fmt::Display, process::ExitCode};

use serde::Serialize;
use tokio::time::Instant;

use super::{
    CommandError, Output,
    args::{ReportFormat, SimulateArgs, SourceArgs},
    load::load,
    progress::ProgressLine,
    table,
};
use crate::{
    config::{Config, Registers},
    resilience::{
        feasibility::{self, FeasibilityFinding, Severity},
        simulation::{self, Incident, Report, SimulationSettings, Spread},
    },
    runtime::read_input,
    yaml::list,
};

/// The largest script.
const SCRIPT_BYTES_MAX: u64 = 1 << 20;

/// Everything that is printed.
#[derive(Serialize)]
struct Simulated {
    outages: u32,
    seed: u64,
    receivers: Vec<Receiver>,
}

/// The result of one receiver.
#[derive(Serialize)]
struct Receiver {
    receiver: String,
    endpoints: usize,
    interval: String,
    /// A target with replicas, if there is one. Their failovers are not simulated.
    replicated: Option<String>,
    findings: Vec<FeasibilityFinding>,
    /// Empty if the settings can never work.
    faults: Vec<Report>,
}

/// A receiver to simulate.
struct SimulatedReceiver {
    receiver: String,
    settings: SimulationSettings,
    incidents: Vec<Incident>,
}

/// Fails if the settings of a receiver can never work.
pub(super) fn simulate(
    registers: &Registers,
    sources: &SourceArgs,
    options: &SimulateArgs,
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    let plans = plans(
        &super::runtime()?.block_on(load(registers, sources))?,
        options,
    )?;
    let kinds: usize = plans.iter().map(|plan| plan.incidents.len()).sum();
    let mut progress = Progress::new(kinds, options.outages);
    let receivers = plans.iter().map(|plan| plan.run(options, &mut progress));
    let simulated = Simulated {
        outages: options.outages,
        seed: options.seed,
        receivers: receivers.collect(),
    };
    progress.line.clear();
    match options.format {
        ReportFormat::Json => out.text(serde_json::to_string_pretty(&simulated)?),
        ReportFormat::Table => simulated.write(out),
    }
    let all_ran = simulated.receivers.iter().all(|r| !r.faults.is_empty());
    Ok(match all_ran {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn plans(config: &Config, options: &SimulateArgs) -> Result<Vec<SimulatedReceiver>, CommandError> {
    let mut plans = Vec::new();
    for (id, receiver) in &config.receivers {
        if options.receiver.as_ref().is_some_and(|only| only != id) {
            continue;
        }
        let Some(settings) = receiver.simulation()? else {
            continue;
        };
        plans.push(SimulatedReceiver {
            receiver: id.to_string(),
            incidents: incidents(options, &settings)?,
            settings,
        });
    }
    match &options.receiver {
        Some(missing) if plans.is_empty() => {
            let ids: Vec<String> = config.receivers.keys().map(ToString::to_string).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            Err(format!("no receiver `{missing}`; there is: {}", list(&ids)).into())
        }
        _ => Ok(plans),
    }
}

fn incidents(
    options: &SimulateArgs,
    settings: &SimulationSettings,
) -> Result<Vec<Incident>, CommandError> {
    let Some(file) = &options.script else {
        return Ok(simulation::builtin(settings));
    };
    let name = file.display().to_string();
    let failed = |why: &dyn Display| format!("failed to read the script `{name}`: {why}");
    let text = read_input(file, SCRIPT_BYTES_MAX).map_err(|error| failed(&error))?;
    let text = String::from_utf8(text).map_err(|error| failed(&error))?;
    Ok(simulation::incidents(&name, &text, settings)
        .map_err(|mistakes| format!("invalid script\n{mistakes}"))?)
}

impl SimulatedReceiver {
    fn run(&self, options: &SimulateArgs, progress: &mut Progress) -> Receiver {
        let findings = feasibility::check(&self.settings.plan());
        let works = findings.iter().all(|f| f.severity != Severity::Error);
        let incidents = self.incidents.iter().filter(|_| works);
        let origin = Instant::now();
        let faults = incidents.map(|incident| {
            let runs = (0..options.outages).map(|outage| {
                progress.step();
                let seed = options.seed.wrapping_add(u64::from(outage));
                simulation::run(&self.settings, incident, seed, origin)
            });
            Report::new(&incident.name, &runs.collect::<Vec<_>>())
        });
        Receiver {
            receiver: self.receiver.clone(),
            endpoints: self.settings.endpoints.len(),
            interval: self.settings.interval.to_string(),
            replicated: self.settings.replicated(),
            faults: faults.collect(),
            findings,
        }
    }
}

impl Simulated {
    fn write(&self, out: &mut Output) {
        for receiver in &self.receivers {
            let Receiver {
                receiver: id,
                endpoints,
                interval,
                ..
            } = receiver;
            out.line(format_args!(
                "{id}: {} outages of each kind of a target with {endpoints} endpoints, polled \
                 every {interval}; seed {}",
                self.outages, self.seed
            ));
            if let Some(pool) = &receiver.replicated {
                out.line(format_args!(
                    "  `{pool}` has replicas: only one of its instances is simulated, without a \
                     failover"
                ));
            }
            for finding in &receiver.findings {
                let severity = match finding.severity {
                    Severity::Note => "Note",
                    Severity::Warning => "Warning",
                    Severity::Error => "Error",
                };
                let path = finding.path.join("::");
                out.line(format_args!("  {severity}: {path}: {}", finding.message));
            }
            if !receiver.faults.is_empty() {
                const HEAD: [&str; 7] = [
                    "FAULT",
                    "REQUESTS mean / max",
                    "DETECTED s",
                    "RECOVERED s mean / max",
                    "LATE TICKS",
                    "FRESH POLLS",
                    "LOST POLLS",
                ];
                let rows: Vec<_> = receiver.faults.iter().map(row).collect();
                table::write(HEAD, &rows, out);
            }
        }
    }
}

fn row(report: &Report) -> [String; 7] {
    let both = |spread: Spread| format!("{:.1} / {:.1}", spread.mean, spread.max);
    let mean = |spread: Spread| format!("{:.1}", spread.mean);
    // A value that did not occur in every outage shows in how many it did.
    let shown = |spread: Option<Spread>, show: &dyn Fn(Spread) -> String| match spread {
        None => "never".to_owned(),
        Some(spread) if spread.outages < report.outages => {
            format!(
                "{} ({} of {})",
                show(spread),
                spread.outages,
                report.outages
            )
        }
        Some(spread) => show(spread),
    };
    [
        report.fault.clone(),
        shown(report.requests, &|s| format!("{:.1} / {}", s.mean, s.max)),
        shown(report.detection_seconds, &mean),
        shown(report.recovery_seconds, &both),
        format!("{:.1}", report.late_ticks),
        format!("{:.1} of {}", report.fresh_polls, report.planned_polls),
        format!("{:.1}", report.lost_polls),
    ]
}

/// How far a long simulation is.
struct Progress {
    total: u64,
    done: u64,
    line: ProgressLine,
}

impl Progress {
    fn new(kinds: usize, outages: u32) -> Self {
        let kinds = u64::try_from(kinds).unwrap_or(u64::MAX);
        Self {
            total: kinds.saturating_mul(u64::from(outages)).max(1),
            done: 0,
            line: ProgressLine::new(),
        }
    }

    /// Counts one more outage.
    fn step(&mut self) {
        let percent = self.done.saturating_mul(100) / self.total;
        self.done += 1;
        self.line.show(|| format!("simulating: {percent} %"));
    }
}

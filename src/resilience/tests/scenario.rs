//! Simulates outages of one host with six endpoints in virtual time. The core runs in its real
//! order, and must behave as measured for that order.

use tokio::time::Instant;

use super::secs;
use crate::{
    definition::EndpointId,
    resilience::{
        config::TimeoutConfig,
        feasibility::EndpointRequests,
        simulation::{
            Incident, Report, Run, SimulatedFault, SimulationSettings, Spread, builtin, incidents,
            run,
        },
    },
    settings,
};

fn settings() -> SimulationSettings {
    SimulationSettings {
        interval: settings::Duration::from_secs(15),
        timeout: TimeoutConfig::default(),
        deadline: None,
        retry: Default::default(),
        circuit_breaker: Default::default(),
        cache: Default::default(),
        freshness_objective: None,
        targets: vec![("node".to_owned(), vec!["node:9000".to_owned()])],
        endpoints: (0..6)
            .map(|at| EndpointId::from(format!("e{at}").as_str()))
            .collect(),
        requests: Vec::new(),
    }
}

/// Timeouts of 5 s, as in the measurements.
fn measured() -> SimulationSettings {
    let timeout = TimeoutConfig {
        adaptive: false,
        ..TimeoutConfig::default()
    };
    SimulationSettings {
        timeout,
        ..settings()
    }
}

fn runs(settings: &SimulationSettings, incident: &Incident) -> Vec<Run> {
    let origin = Instant::now();
    let run = |seed| run(settings, incident, seed, origin);
    (0..300).map(run).collect()
}

#[test]
fn an_endpoint_that_is_polled_less_often_gets_fewer_requests() {
    let incident = Incident {
        name: String::new(),
        fault: SimulatedFault::Refuse,
        endpoint: None,
        at: None,
        length: None,
    };
    let rare = |every| SimulationSettings {
        requests: (0..6)
            .map(|_| EndpointRequests {
                name: String::new(),
                every,
                in_a_row: 1,
            })
            .collect(),
        ..measured()
    };
    let planned = |every| run(&rare(every), &incident, 7, Instant::now()).planned_polls;
    let (often, seldom) = (planned(1), planned(4));
    assert!(seldom * 3 < often && seldom > 0, "{seldom} of {often}");
    let run = run(&rare(4), &incident, 7, Instant::now());
    assert!(
        run.fresh_polls > 0 && run.fresh_polls <= run.planned_polls,
        "{run:?}"
    );
    assert!(run.recovery.is_some());
}

/// Mean requests, mean detection, mean and longest recovery, of 300 outages of 240 to 300 s.
fn outages(fault: SimulatedFault, endpoint: Option<usize>) -> [f64; 4] {
    let incident = Incident {
        name: String::new(),
        fault,
        endpoint,
        at: None,
        length: None,
    };
    let report = Report::new("", &runs(&measured(), &incident));
    let always = |spread: Option<Spread>| spread.filter(|spread| spread.outages == 300).unwrap();
    let recovery = always(report.recovery_seconds);
    let detection = always(report.detection_seconds);
    let requests = always(report.requests);
    [requests.mean, detection.mean, recovery.mean, recovery.max]
}

#[test]
fn a_host_that_hangs_is_detected_paused_and_found_again() {
    let found = outages(SimulatedFault::Hang, None);
    let [requests, detection, recovery, longest] = found;
    assert!(requests <= 40.0 && detection <= 45.0, "{found:?}");
    // In the worst case the host comes back just after a trial request: 33 s of jittered 30 until
    // the next.
    assert!(recovery <= 20.0 && longest <= 36.0, "{found:?}");
}

#[test]
fn a_host_that_refuses_is_detected_sooner() {
    let found = outages(SimulatedFault::Refuse, None);
    let [requests, detection, recovery, longest] = found;
    assert!(requests <= 40.0 && detection <= 30.0, "{found:?}");
    assert!(recovery <= 20.0 && longest <= 36.0, "{found:?}");
}

#[test]
fn one_failing_endpoint_of_six_is_detected_and_the_others_are_polled() {
    let found = outages(SimulatedFault::Status(500), Some(3));
    let [requests, detection, recovery, longest] = found;
    assert!(
        (90.0..=115.0).contains(&requests) && detection <= 45.0,
        "{found:?}"
    );
    assert!(recovery <= 20.0 && longest <= 36.0, "{found:?}");
}

#[test]
fn a_hiccup_of_six_seconds_loses_no_poll() {
    let hiccup = Incident {
        name: String::new(),
        fault: SimulatedFault::Hang,
        endpoint: None,
        at: None,
        length: Some(secs(6)),
    };
    // With attempts of 5 s a poll has two. The second one is after the short outage, because it is
    // never sent early.
    for settings in [settings(), measured()] {
        for (seed, run) in runs(&settings, &hiccup).iter().enumerate() {
            assert_eq!((run.lost_polls, run.detection), (0, None), "seed {seed}");
            assert_eq!(run.fresh_polls, run.planned_polls, "seed {seed}");
        }
    }
}

#[test]
fn the_defaults_keep_their_bounds_in_every_builtin_outage() {
    let settings = settings();
    let reports: Vec<Report> = builtin(&settings)
        .iter()
        .map(|incident| Report::new(&incident.name, &runs(&settings, incident)))
        .collect();
    assert_eq!(reports.len(), 7);
    for report in &reports {
        let recovery = report.recovery_seconds.unwrap();
        assert!(
            recovery.max <= 36.0 && recovery.outages == 300,
            "{report:?}"
        );
        assert_eq!(report.late_ticks, 0.0, "{report:?}");
    }
    let restart = reports.iter().find(|report| report.fault == "restart");
    // A cold node has enough time to answer.
    assert!(restart.unwrap().recovery_seconds.unwrap().mean <= 30.0);
    for name in ["hang", "refuse", "one endpoint 500"] {
        let report = reports.iter().find(|report| report.fault == name).unwrap();
        let detection = report.detection_seconds.unwrap();
        assert!(
            detection.max <= 45.0 && detection.outages == 300,
            "{report:?}"
        );
        // All other endpoints are polled while one fails.
        let limit = if name == "one endpoint 500" {
            115.0
        } else {
            40.0
        };
        assert!(report.requests.unwrap().mean <= limit, "{report:?}");
    }
}

#[test]
fn a_script_sets_the_fault_its_start_and_its_length() {
    let text = "- {at: 60s, for: 4m, fault: hang}\n- {fault: status, code: 500, endpoint: e3}\n\
                - {fault: slow, latency: 2s}\n- fault: restart\n";
    let read = incidents("s.yaml", text, &settings()).unwrap();
    let names: Vec<&str> = read.iter().map(|incident| incident.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "hang at 1m for 4m",
            "status 500 of e3",
            "slow 2s",
            "restart"
        ]
    );
    let [hang, status, slow, restart] = read.as_slice() else {
        panic!("{read:?}");
    };
    assert_eq!((hang.at, hang.length), (Some(secs(60)), Some(secs(240))));
    assert_eq!(
        (status.fault, status.endpoint),
        (SimulatedFault::Status(500), Some(3))
    );
    assert_eq!(slow.fault, SimulatedFault::Slow(secs(2)));
    assert_eq!(restart.length, Some(secs(10)));
}

#[test]
fn all_mistakes_of_a_script_are_reported() {
    for (text, message) in [
        ("[]", "expected at least one outage"),
        ("- {fault: hung}", "s.yaml:1:11: 0::fault"),
        ("- {for: 4m}", "missing key `fault`"),
        ("- {fault: hang, form: 4m}", "did you mean `for`?"),
        (
            "- {fault: status}",
            "s.yaml:1:4: 0::fault: missing key `code`",
        ),
        ("- {fault: hang, code: 500}", "`code` does not belong to"),
        ("- {fault: status, code: 200}", "a status from 300 to 599"),
        ("- {fault: slow}", "missing key `latency`"),
        (
            "- {fault: hang}\n- {fault: hang, endpoint: x}",
            "s.yaml:2:17: 1::endpoint: is not an endpoint",
        ),
        ("- {fault: hang, at: 60}", "write 60s?"),
    ] {
        let error = incidents("s.yaml", text, &settings()).unwrap_err();
        assert!(error.to_string().contains(message), "{message}\n{error}");
    }
}

use crate::{
    resilience::{
        config::{CacheConfig, CircuitBreakerConfig, RetryConfig, TimeoutConfig},
        feasibility::{EndpointRequests, FeasibilityFinding, FeasibilityInput, Severity, check},
    },
    settings::Duration,
};

#[derive(Default)]
struct Settings {
    timeout: TimeoutConfig,
    deadline: Option<Duration>,
    retry: RetryConfig,
    circuit_breaker: CircuitBreakerConfig,
    cache: CacheConfig,
    freshness_objective: Option<Duration>,
    targets: Vec<(String, Vec<String>)>,
    endpoints: Vec<EndpointRequests>,
}

fn findings(settings: &Settings) -> Vec<FeasibilityFinding> {
    check(&FeasibilityInput {
        interval: s(15),
        timeout: settings.timeout,
        deadline: settings.deadline,
        retry: &settings.retry,
        circuit_breaker: &settings.circuit_breaker,
        cache: settings.cache,
        freshness_objective: settings.freshness_objective,
        targets: &settings.targets,
        endpoints: &settings.endpoints,
    })
}

/// All findings except notes, each as one line.
fn complaints(settings: Settings) -> Vec<String> {
    let findings = findings(&settings);
    let serious = findings.iter().filter(|f| f.severity > Severity::Note);
    let line =
        |f: &FeasibilityFinding| format!("{:?} {}: {}", f.severity, f.path.join("."), f.message);
    serious.map(line).collect()
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_defaults_fit_together() {
    assert_eq!(complaints(Settings::default()), Vec::<String>::new());
    let notes = findings(&Settings::default());
    let [ttl] = notes.as_slice() else {
        panic!("{notes:?}")
    };
    assert_eq!(ttl.path, ["cache", "ttl"]);
    assert!(ttl.message.contains("15s − 10s = 5s"), "{}", ttl.message);
}

#[test]
fn pages_and_rare_polls_are_counted() {
    let requests = |every, in_a_row| EndpointRequests {
        name: "hosts".to_owned(),
        every,
        in_a_row,
    };
    let settings = || Settings {
        freshness_objective: Some(s(30)),
        endpoints: vec![requests(4, 1), requests(1, 5000)],
        ..Settings::default()
    };
    assert_eq!(
        complaints(settings()),
        [
            "Warning freshness_objective: cannot be kept for `hosts`: it is polled every 1m, which is \
             more than 30s",
            "Warning deadline: has to be enough for 5000 requests of `hosts` in a row, its pages and \
             elements at most: 13.5s / 5000 = 2 ms for each",
        ]
    );
}

#[test]
fn all_attempts_and_waits_of_a_poll_must_fit_into_its_deadline() {
    let timeout = TimeoutConfig {
        max: s(5),
        adaptive: false,
    };
    assert_eq!(
        complaints(Settings {
            timeout,
            ..Settings::default()
        }),
        [
            "Warning retry: do not fit the deadline of a poll: 5s + 1s + 5s + 2s + 5s + 4s + 5s = \
             27s > 13.5s, so only 2 of 4 attempts are made while a node hangs"
        ]
    );
    let retry = RetryConfig {
        max_retries: u32::MAX,
        ..RetryConfig::default()
    };
    let complaints = complaints(Settings {
        retry,
        ..Settings::default()
    });
    assert!(complaints[0].contains("only 4 of"), "{complaints:?}");
}

#[test]
fn an_attempt_that_fits_may_begin_too_late() {
    let settings = Settings {
        timeout: TimeoutConfig {
            max: "100ms".parse().unwrap(),
            adaptive: false,
        },
        retry: RetryConfig {
            max_retries: 1,
            ..RetryConfig::default()
        },
        ..deadline(2)
    };
    assert_complains(
        settings,
        "Warning retry: do not fit the deadline of a poll: 100ms + 1s + 100ms = 1.2s of 2s, and an \
         attempt begins only while 1s are left, so only 1 of 2 attempts are made while a node hangs",
    );
}

/// Checks that this is the only finding.
fn assert_complains(settings: Settings, expected: &str) {
    let complaints = complaints(settings);
    assert!(
        complaints.len() == 1 && complaints[0].contains(expected),
        "{complaints:?}"
    );
}

fn cache(ttl: u64, max_stale: u64) -> Settings {
    let cache = CacheConfig {
        ttl: s(ttl),
        max_stale: s(max_stale),
        honor_origin: false,
    };
    Settings {
        cache,
        ..Settings::default()
    }
}

fn deadline(seconds: u64) -> Settings {
    let deadline = Some(s(seconds));
    Settings {
        deadline,
        ..Settings::default()
    }
}

#[test]
fn a_part_that_is_longer_than_the_whole_is_reported() {
    let expected = "Warning deadline: is longer than the collection_interval: 20s > 15s";
    assert_complains(deadline(20), expected);
    let complaints = complaints(deadline(4)).join("\n");
    let expected = "timeout: is longer than the deadline of a poll: 5s > 4s";
    assert!(complaints.contains(expected), "{complaints}");
    let circuit_breaker = CircuitBreakerConfig {
        open_duration: s(10),
        ..CircuitBreakerConfig::default()
    };
    let settings = Settings {
        circuit_breaker,
        ..Settings::default()
    };
    let notes = findings(&settings);
    let expected = "is over before the next poll: 10s < 15s";
    assert!(
        notes.iter().any(|note| note.message.contains(expected)),
        "{notes:?}"
    );
}

#[test]
fn a_cache_time_that_is_too_short_is_reported() {
    assert_complains(cache(10, 60), "33s + 15s + 13.5s = 1m1.5s > 1m");
    assert_complains(
        cache(600, 300),
        "Error cache.ttl: is longer than max_stale: 10m > 5m",
    );
    let freshness_objective = Some(s(10));
    let settings = Settings {
        freshness_objective,
        ..Settings::default()
    };
    assert_complains(settings, "Warning freshness_objective: cannot be kept");
}

#[test]
fn two_targets_at_one_host_are_reported() {
    let target = |name: &str, host: &str| (name.to_owned(), vec![host.to_owned()]);
    let targets = vec![
        target("a", "node:80"),
        target("c", "node:81"),
        target("b", "node:80"),
    ];
    let settings = Settings {
        targets,
        ..Settings::default()
    };
    assert_complains(
        settings,
        "Warning targets: `a` and `b` are one host, node:80",
    );
}

#[test]
fn an_instance_that_hangs_must_leave_time_for_another() {
    let pool = |max| Settings {
        timeout: TimeoutConfig {
            max: s(max),
            adaptive: true,
        },
        targets: vec![("pool".to_owned(), vec!["a:1".to_owned(), "b:1".to_owned()])],
        ..Settings::default()
    };
    assert_complains(
        pool(13),
        "Warning timeout: leaves a poll of `pool` no time for another instance after one that \
         hangs: 13s + 1s > 13.5s",
    );
    let short = findings(&pool(5));
    assert!(short.iter().all(|finding| finding.path != ["timeout"]));
}

#[test]
fn a_budget_smaller_than_the_fleet_is_noted() {
    let target = |i: u32| (i.to_string(), vec![i.to_string()]);
    let targets = (0..50).map(target).collect();
    let endpoint = |i: u32| EndpointRequests {
        name: i.to_string(),
        every: 1,
        in_a_row: 1,
    };
    let findings = findings(&Settings {
        targets,
        endpoints: (0..6).map(endpoint).collect(),
        ..Settings::default()
    });
    let mut notes = findings.iter().filter(|of| of.severity == Severity::Note);
    let path = &["retry", "max_retries"][..];
    let note = notes.find(|of| of.path == path).unwrap();
    let sum =
        "50 targets × 6 endpoints × 3 retries = 900 an interval, of which the budget allows 10";
    assert!(note.message.contains(sum), "{}", note.message);
}

#[test]
fn values_that_can_never_work_are_errors_and_stop_further_checks() {
    let settings = Settings {
        timeout: TimeoutConfig {
            max: s(0),
            adaptive: true,
        },
        retry: RetryConfig {
            jitter: 2.0,
            multiplier: f64::NAN,
            ..RetryConfig::default()
        },
        circuit_breaker: CircuitBreakerConfig {
            failure_threshold: 0,
            host_failure_threshold: Some(0),
            half_open_max_probes: 0,
            open_duration: s(0),
            open_jitter: -0.1,
            open_multiplier: 0.5,
            ..CircuitBreakerConfig::default()
        },
        deadline: Some(s(0)),
        ..Settings::default()
    };
    let findings = findings(&settings);
    assert_eq!(findings.len(), 10, "{findings:?}");
    assert!(findings.iter().all(|f| f.severity == Severity::Error));
}

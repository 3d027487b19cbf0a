use std::time;

use serde::{Deserialize, Serialize};

use super::{policy, secs};
use crate::{
    resilience::{
        breaker::{BreakerPolicy, FailureCounting},
        config::{
            BreakerScope, CacheConfig, CircuitBreakerConfig, RetryConfig, TimeoutConfig, deadline,
        },
        outcome::Statuses,
    },
    settings::Duration,
    yaml,
};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Receiver {
    timeout: TimeoutConfig,
    retry: RetryConfig,
    circuit_breaker: CircuitBreakerConfig,
    cache: CacheConfig,
}

fn read(text: &str) -> Result<Receiver, String> {
    let mut diagnostics = yaml::Diagnostics::default();
    let node = yaml::parse("f", text, &mut diagnostics).unwrap();
    yaml::decode(&node, "", &mut diagnostics).ok_or_else(|| diagnostics.to_string())
}

#[test]
fn a_timeout_is_a_duration_or_a_map() {
    let timeout = |text: &str| read(text).unwrap().timeout;
    let config = |seconds, adaptive| TimeoutConfig {
        max: Duration::from_secs(seconds),
        adaptive,
    };
    assert_eq!(timeout("timeout: 3s"), config(3, false));
    assert_eq!(timeout("timeout: {max: 3s}"), config(3, true));
    assert_eq!(
        timeout("timeout: {max: 3s, adaptive: false}"),
        config(3, false)
    );
    assert_eq!(timeout("timeout: {}"), config(5, true));
    assert_eq!(timeout("retry: {}"), config(5, true));
    for (text, expected) in [
        ("timeout: 3", "write 3s?"),
        ("timeout: soon", "expected a duration"),
        (
            "timeout: [3s]",
            "or a map such as {max: 5s, adaptive: true}",
        ),
        ("timeout: {max: 3}", "write 3s?"),
        ("timeout: {maximum: 3s}", "maximum"),
    ] {
        let message = read(text).unwrap_err();
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    let read = read("{}").unwrap();
    let breaker = &read.circuit_breaker;
    assert_eq!(
        (breaker.scope, read.retry.max_retries),
        (BreakerScope::Both, 3)
    );
    assert_eq!(
        breaker.endpoint_policy(),
        BreakerPolicy {
            open_jitter: 0.1,
            ..policy()
        }
    );
    let counting = FailureCounting::Waves;
    let endpoint = breaker.endpoint_policy();
    assert_eq!(
        breaker.host_policy(),
        BreakerPolicy {
            counting,
            ..endpoint
        }
    );
    assert_eq!(Statuses::new(&read.retry, breaker), Statuses::default());
    let retry = read.retry.policy();
    let waits = [1, 2, 3].map(|attempts| retry.interval(attempts));
    assert_eq!(waits, [secs(1), secs(2), secs(4)]);
    let cache = read.cache.policy();
    assert_eq!(
        (cache.ttl, cache.max_stale, cache.honor_origin),
        (secs(10), secs(300), false)
    );
}

#[test]
fn every_key_is_read() {
    let read = read(
        "circuit_breaker: {scope: host, failure_threshold: 7, host_failure_threshold: 3, \
         open_duration: 1m, open_jitter: 0, open_multiplier: 1.5, max_open_duration: 10m, \
         half_open_max_probes: 2, failure_statuses: [418]}\n\
         retry: {max_retries: 1, initial_interval: 2s, multiplier: 3, max_interval: 5s, \
         jitter: 0, retryable_statuses: [418], throttled_statuses: [420]}\n\
         cache: {ttl: 1s, max_stale: 2s, honor_origin: true}\n",
    )
    .unwrap();
    let host = read.circuit_breaker.host_policy();
    assert_eq!((host.failure_threshold, host.half_open_max_probes), (3, 2));
    assert_eq!(read.circuit_breaker.endpoint_policy().failure_threshold, 7);
    assert_eq!(read.retry.policy().interval(2), secs(5));
    let statuses = Statuses::new(&read.retry, &read.circuit_breaker);
    assert!(statuses.throttled.contains(&420) && statuses.failure.contains(&418));
    assert!(read.cache.policy().honor_origin);
    let text = serde_json::to_string(&read).unwrap();
    let back: Receiver = serde_json::from_str(&text).unwrap();
    assert_eq!(back, read, "the printed configuration can be read again");
}

#[test]
fn the_deadline_leaves_a_tenth_of_the_interval() {
    let interval = Duration::from_secs(15);
    assert_eq!(
        deadline(None, interval),
        time::Duration::from_millis(13_500)
    );
    assert_eq!(deadline(Some(Duration::from_secs(7)), interval), secs(7));
}

#[test]
fn the_schema_of_a_timeout_knows_both_forms() {
    let schema = schemars::schema_for!(TimeoutConfig).to_value();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (value, is_valid) in [
        (serde_json::json!("5s"), true),
        (serde_json::json!({"max": "5s", "adaptive": true}), true),
        (serde_json::json!({}), true),
        (serde_json::json!(5), false),
        (serde_json::json!({"maximum": "5s"}), false),
    ] {
        assert_eq!(validator.is_valid(&value), is_valid, "{value}");
    }
}

//! Tests of what receivers with different settings have in common.

use super::{lab::context, *};

/// The receiver with other settings, in the same collector.
fn built(context: &ReceiverContext, change: impl FnOnce(&mut Config)) -> HttpJsonReceiver {
    let mut config = Config {
        definition: vec!["betanet".to_owned()],
        ..Config::default()
    };
    change(&mut config);
    config.receiver(None, context).unwrap()
}

/// Which parts of two receivers are the same: spec, definition, clients, places, memory, and what
/// is counted.
fn same(one: &HttpJsonReceiver, other: &HttpJsonReceiver) -> [bool; 6] {
    let (one, other) = (&one.spec, &other.spec);
    let (parts, others) = (&one.shared, &other.shared);
    assert!(
        Arc::ptr_eq(&parts.telemetry, &others.telemetry),
        "counted on"
    );
    [
        Arc::ptr_eq(one, other),
        Arc::ptr_eq(&one.definitions[0], &other.definitions[0]),
        Arc::ptr_eq(&one.clients, &other.clients),
        Arc::ptr_eq(&parts.places, &others.places),
        Arc::ptr_eq(&parts.memory, &others.memory),
        Arc::ptr_eq(&one.fleet, &other.fleet),
    ]
}

#[test]
fn what_is_built_from_the_same_settings_is_the_same() {
    let context = context("test", &meter(), &Arc::default(), &Arc::default());
    let running = built(&context, |_| {});
    let built = |change: fn(&mut Config)| same(&running, &built(&context, change));
    let all = [true; 6];
    assert_eq!(
        built(|config| config.initial_delay = settings::Duration::from_secs(1)),
        all
    );
    let target = |config: &mut Config| {
        config
            .targets
            .push(TargetConfig::at("http://a".parse().unwrap()));
    };
    assert_eq!(built(target), all);
    let but = |parts: &[usize]| {
        let parts = [&[0], parts].concat();
        std::array::from_fn(|part| !parts.contains(&part))
    };
    assert_eq!(built(|config| config.timeout.adaptive = false), but(&[]));
    assert_eq!(
        built(|config| config.definition = vec!["nats".to_owned()]),
        but(&[1, 2])
    );
    assert_eq!(built(|config| config.max_redirects = 1), but(&[2]));
    assert_eq!(built(|config| config.concurrency = 1), but(&[3]));
    assert_eq!(
        built(|config| config.body_limit = "100MiB".parse().unwrap()),
        but(&[4])
    );
}

#[test]
fn a_receiver_that_is_not_used_leaves_nothing_behind() {
    let context = context("test", &meter(), &Arc::default(), &Arc::default());
    let refused = built(&context, |_| {});
    let fleet = Arc::downgrade(&refused.spec.fleet);
    drop(refused);
    assert!(fleet.upgrade().is_none());
}

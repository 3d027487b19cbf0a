use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_sdk::metrics::SdkMeterProvider;
use tokio::time::advance;

use super::*;
use crate::{
    pipeline::Part,
    processors::{
        Context,
        testing::{reading, stream},
    },
    settings,
};

const MIB: u64 = 1024 * 1024;

fn limiter(config: &Config, resident: Resident) -> MemoryLimiter {
    let meter = Meter::of(&SdkMeterProvider::default());
    let clock = &crate::runtime::Clock::System;
    let context = Context {
        meter: &meter,
        clock,
    };
    MemoryLimiter(Arc::new(config.limiter(
        "test",
        resident,
        || Some(1000 * MIB),
        &context,
    )))
}

fn config() -> Config {
    Config {
        check_interval: settings::Duration::from_secs(1),
        limit_mib: 100,
        spike_limit_mib: 30,
        ..Config::default()
    }
}

#[test]
fn the_soft_limit_is_the_limit_without_the_spike() {
    let mut shares = Config {
        limit_percentage: 50,
        ..Config::default()
    };
    let limits = |config: &Config| {
        let limiter = limiter(config, || Some(0));
        [limiter.0.hard_bytes / MIB, limiter.0.soft_bytes / MIB]
    };
    assert_eq!(limits(&config()), [100, 70]);
    assert_eq!(limits(&shares), [500, 400], "a fifth is kept free");
    shares.spike_limit_percentage = 30;
    assert_eq!(limits(&shares), [500, 200]);
}

#[tokio::test(start_paused = true)]
async fn over_the_soft_limit_nothing_is_taken_until_memory_falls() {
    static RESIDENT: AtomicU64 = AtomicU64::new(0);
    let limiter = limiter(&config(), || Some(RESIDENT.load(Ordering::SeqCst) * MIB));
    let mut opened = stream("node", "");
    let before = opened.clone();
    let mut stage = limiter.open(&mut opened);
    let mut passes = || {
        let values = vec![reading(&before, "gauge 1")];
        let resource = Arc::clone(&before.resource);
        let out = stage.process(Batch {
            scopes: vec!["test/a".into()],
            parts: vec![Part { resource, values }],
            ..Batch::default()
        });
        assert_eq!(
            out.scopes.len(),
            out.len(),
            "what is refused was not read either"
        );
        out.len() == 1
    };
    for (mib, expected) in [
        (69, true),
        (70, false),
        (100, false),
        (99, false),
        (69, true),
    ] {
        RESIDENT.store(mib, Ordering::SeqCst);
        advance(Duration::from_secs(1)).await;
        assert_eq!(limiter.admits(), expected, "{mib} MiB");
        assert_eq!(passes(), expected, "{mib} MiB");
    }
}

#[tokio::test(start_paused = true)]
async fn memory_is_read_once_an_interval() {
    static READS: AtomicU64 = AtomicU64::new(0);
    let limiter = limiter(&config(), || Some(READS.fetch_add(1, Ordering::SeqCst)));
    let before = READS.load(Ordering::SeqCst);
    for _ in 0..10 {
        assert!(limiter.admits());
    }
    advance(Duration::from_secs(1)).await;
    assert!(limiter.admits());
    assert_eq!(READS.load(Ordering::SeqCst) - before, 2);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_limits_nothing() {
    assert!(limiter(&config(), || None).admits());
}

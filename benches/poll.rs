//! The cost that the resilience layer adds to a poll: `cargo bench --bench poll`.
//!
//! It measures one poll through the executor with an attempt that answers at once, the attempt
//! alone, and a poll that an open breaker refuses.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{hint::black_box, time::Duration};

use betanet_collector::{
    definition,
    pipeline::{Body, ErrorType, PollFailure},
    resilience::{
        cache::CacheHeaders,
        config::{CacheConfig, CircuitBreakerConfig, RetryConfig, TimeoutConfig},
        executor::{AttemptError, AttemptResponse, Manner, NextStep, PollResult},
        outcome::{ResultClass, Statuses},
        receiver_resilience::{ReceiverResilience, ResilienceSettings},
        target_keys::TargetKeys,
        target_resilience::TargetResilience,
    },
    runtime::Clock,
};
use tokio::time::Instant;

type Error = Box<dyn std::error::Error>;

const ROUNDS: u32 = 200_000;

/// Answers at once, with success or failure.
struct AtOnce {
    body: Option<Body>,
}

impl AtOnce {
    fn answer(&self) -> Result<AttemptResponse, AttemptError> {
        match &self.body {
            Some(body) => Ok(AttemptResponse::Body(body.clone(), CacheHeaders::default())),
            None => Err(AttemptError {
                failure: PollFailure {
                    error_type: ErrorType::Connect,
                    message: "".into(),
                },
                class: ResultClass::Transport,
                retry_after: None,
                is_final: false,
            }),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let received = Clock::System.now();
    let body = Body::new(bytes::Bytes::new(), received, |_| None);
    let (good, bad) = (AtOnce { body: Some(body) }, AtOnce { body: None });
    let host = host()?;
    let bare = time(async || drop(black_box(good.answer()))).await;
    let whole = time(async || drop(black_box(poll(&host, &good).await))).await;
    for _ in 0..10 {
        drop(poll(&host, &bad).await);
    }
    let refused = time(async || drop(black_box(poll(&host, &good).await))).await;
    println!("attempt alone            {bare:>6.0} ns");
    println!(
        "poll through the shell   {whole:>6.0} ns, {:.0} ns more",
        whole - bare
    );
    println!("poll that is refused     {refused:>6.0} ns");
    Ok(())
}

async fn poll(host: &TargetResilience, node: &AtOnce) -> PollResult {
    let manner = Manner {
        deadline: host.deadline(),
        alone: false,
    };
    let mut run = host.begin(0, manner);
    loop {
        match run.next().await {
            NextStep::Attempt(_) => run.record(node.answer()),
            NextStep::Done(polled) => return polled,
        }
    }
}

fn host() -> Result<TargetResilience, Error> {
    let retry = RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    };
    let settings = ResilienceSettings {
        interval: Duration::from_secs(15),
        deadline: Duration::from_secs(13),
        statuses: Statuses::default(),
        retry: retry.policy(),
        timeout: TimeoutConfig::default(),
        circuit_breaker: CircuitBreakerConfig::default(),
        cache: CacheConfig::default().policy(),
        freshness_objective: None,
    };
    let definition = definition::load("betanet")?;
    let keys = TargetKeys::new(&definition, vec!["http://node".parse()?], Vec::new());
    let slot = ReceiverResilience::new(settings).join();
    Ok(TargetResilience::new(&slot, "node", keys, &Clock::System))
}

/// Nanoseconds for each round.
async fn time(round: impl AsyncFn()) -> f64 {
    let started = Instant::now();
    for _ in 0..ROUNDS {
        round().await;
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
}

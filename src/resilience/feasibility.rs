//! Checks at the start whether the settings fit together.

use serde::Serialize;

use super::{
    budget,
    config::{self, CacheConfig, CircuitBreakerConfig, RetryConfig, TimeoutConfig},
    retry,
};
use crate::settings::Duration;

/// Everything that has to fit together.
#[derive(Debug, Clone)]
pub struct FeasibilityInput<'a> {
    /// The time between two polls of a target.
    pub interval: Duration,
    /// The timeout of one attempt.
    pub timeout: TimeoutConfig,
    /// The configured deadline of one poll.
    pub deadline: Option<Duration>,
    /// How attempts are repeated.
    pub retry: &'a RetryConfig,
    /// When attempts are refused.
    pub circuit_breaker: &'a CircuitBreakerConfig,
    /// The cache between polls.
    pub cache: CacheConfig,
    /// The freshness objective, if there is one.
    pub freshness_objective: Option<Duration>,
    /// The name of each target, and `host:port` of each of its instances.
    pub targets: &'a [(String, Vec<String>)],
    /// The endpoints of a target.
    pub endpoints: &'a [EndpointRequests],
}

/// The requests of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRequests {
    /// Its name.
    pub name: String,
    /// It is polled at every so many ticks.
    pub every: u32,
    /// The most requests of a poll that wait for one another: pages, and elements of another
    /// endpoint's answer.
    pub in_a_row: u64,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It works as designed, and is good to know.
    Note,
    /// It works worse than it seems to.
    Warning,
    /// It can never work.
    Error,
}

/// Two settings that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeasibilityFinding {
    /// The severity of the finding.
    pub severity: Severity,
    /// The key to change, below the receiver's configuration.
    pub path: &'static [&'static str],
    /// The explanation, with the calculation.
    pub message: String,
}

/// Checks the settings.
pub fn check(plan: &FeasibilityInput<'_>) -> Vec<FeasibilityFinding> {
    let mut findings = Vec::new();
    ranges(plan, &mut findings);
    if findings.is_empty() {
        // Calculations with invalid values have no meaning.
        times(plan, &mut findings);
        chain(plan, &mut findings);
        failover(plan, &mut findings);
        breaker(plan, &mut findings);
        cache(plan, &mut findings);
        endpoints(plan, &mut findings);
        fleet(plan, &mut findings);
    }
    findings
}

/// Finds values that can never work, whatever the others are.
fn ranges(plan: &FeasibilityInput<'_>, findings: &mut Vec<FeasibilityFinding>) {
    let FeasibilityInput {
        retry,
        circuit_breaker: breaker,
        ..
    } = plan;
    let share = 0.0..=1.0;
    let mut require = |is_met: bool, path, message: &str| {
        if !is_met {
            findings.push(FeasibilityFinding::new(Severity::Error, path, message));
        }
    };
    const POSITIVE: &str = "requires positive value";
    const SHARE: &str = "must be between 0 and 1";
    const FACTOR: &str = "must be at least 1";
    require(!plan.interval.is_zero(), &["collection_interval"], POSITIVE);
    require(!plan.timeout.max.is_zero(), &["timeout"], POSITIVE);
    let deadline = plan.deadline.is_none_or(|deadline| !deadline.is_zero());
    require(deadline, &["deadline"], POSITIVE);
    require(share.contains(&retry.jitter), &["retry", "jitter"], SHARE);
    require(retry.multiplier >= 1.0, &["retry", "multiplier"], FACTOR);
    let path = &["circuit_breaker", "open_jitter"];
    require(share.contains(&breaker.open_jitter), path, SHARE);
    let path = &["circuit_breaker", "open_multiplier"];
    require(breaker.open_multiplier >= 1.0, path, FACTOR);
    let path = &["circuit_breaker", "failure_threshold"];
    require(breaker.failure_threshold > 0, path, POSITIVE);
    let path = &["circuit_breaker", "host_failure_threshold"];
    require(breaker.host_failure_threshold != Some(0), path, POSITIVE);
    let path = &["circuit_breaker", "half_open_max_probes"];
    require(breaker.half_open_max_probes > 0, path, POSITIVE);
    let path = &["circuit_breaker", "open_duration"];
    require(!breaker.open_duration.is_zero(), path, POSITIVE);
}

/// Checks that an attempt fits into a poll, and a poll into its interval.
fn times(plan: &FeasibilityInput<'_>, findings: &mut Vec<FeasibilityFinding>) {
    let (interval, max, deadline) = (plan.interval, plan.timeout.max, plan.deadline());
    if deadline > interval {
        let message = format!(
            "is longer than the collection_interval: {deadline} > {interval}, so a poll of a node \
             that hangs costs the next tick"
        );
        findings.push(FeasibilityFinding::new(
            Severity::Warning,
            &["deadline"],
            message,
        ));
    }
    if max > deadline {
        let message = format!(
            "is longer than the deadline of a poll: {max} > {deadline}, so an attempt never gets \
             its whole time"
        );
        findings.push(FeasibilityFinding::new(
            Severity::Warning,
            &["timeout"],
            message,
        ));
    }
    if let Some(objective) = plan.freshness_objective.filter(|o| *o < interval) {
        let message = format!(
            "cannot be kept: between two polls the data gets {interval} old, which is more than \
             {objective}"
        );
        let path = &["freshness_objective"];
        findings.push(FeasibilityFinding::new(Severity::Warning, path, message));
    }
}

/// Checks that the attempts and waits of a poll fit into its deadline while the node hangs.
fn chain(plan: &FeasibilityInput<'_>, findings: &mut Vec<FeasibilityFinding>) {
    let (policy, deadline) = (plan.retry.policy(), plan.deadline().get());
    let attempts = policy.max_retries.saturating_add(1);
    let max = plan.timeout.max.get();
    let least = retry::least(None, deadline);
    let (mut elapsed, mut made) = (std::time::Duration::ZERO, 0);
    let mut sum = String::new();
    for attempt in 1..=attempts.min(SHOWN) {
        let wait = match attempt {
            1 => std::time::Duration::ZERO,
            later => policy.interval(later - 1),
        };
        // An adaptive timeout starts small and doubles. It has no time to grow to its maximum.
        let limit = match plan.timeout.adaptive {
            true => SHORTEST.saturating_mul(2_u32.saturating_pow(attempt - 1)),
            false => max,
        };
        let start = elapsed.saturating_add(wait);
        let fits = start.saturating_add(least) <= deadline;
        made += u32::from(fits && made + 1 == attempt);
        elapsed = start.saturating_add(limit.min(max));
        if attempt > 1 {
            sum += &format!(" + {} + ", show(wait));
        }
        sum += &show(limit.min(max)).to_string();
    }
    if made < attempts.min(SHOWN) {
        let (took, given) = (show(elapsed), plan.deadline());
        let why = match elapsed > deadline {
            true => format!("{sum} = {took} > {given}"),
            false => format!(
                "{sum} = {took} of {given}, and an attempt begins only while {} are left",
                show(least)
            ),
        };
        let message = format!(
            "do not fit the deadline of a poll: {why}, so only {made} of {attempts} attempts are \
             made while a node hangs"
        );
        findings.push(FeasibilityFinding::new(
            Severity::Warning,
            &["retry"],
            message,
        ));
    }
}

/// Checks that an instance that hangs leaves time for another one.
fn failover(plan: &FeasibilityInput<'_>, findings: &mut Vec<FeasibilityFinding>) {
    let (max, deadline) = (plan.timeout.max, plan.deadline());
    let least = retry::least(None, deadline.get());
    let several = plan.targets.iter().find(|(_, hosts)| hosts.len() > 1);
    if let Some((name, _)) = several
        && max.get().saturating_add(least) > deadline.get()
    {
        let message = format!(
            "leaves a poll of `{name}` no time for another instance after one that hangs: {max} + \
             {} > {deadline}",
            show(least),
        );
        findings.push(FeasibilityFinding::new(
            Severity::Warning,
            &["timeout"],
            message,
        ));
    }
}

/// Checks that an opening of a breaker is longer than an interval.
fn breaker(plan: &FeasibilityInput<'_>, findings: &mut Vec<FeasibilityFinding>) {
    let (open, interval) = (plan.circuit_breaker.open_duration, plan.interval);
    if open < interval {
        let message = format!(
            "is over before the next poll: {open} < {interval}, so the trial request comes before the poll \
             that it stands for"
        );
        let path = &["circuit_breaker", "open_duration"];
        findings.push(FeasibilityFinding::new(Severity::Note, path, message));
    }
}

/// Checks that cached answers last long enough.
fn cache(plan: &FeasibilityInput<'_>, findings: &mut Vec<FeasibilityFinding>) {
    let (ttl, max_stale, interval) = (plan.cache.ttl, plan.cache.max_stale, plan.interval);
    if ttl < interval {
        let gap = show(interval.get().saturating_sub(ttl.get()));
        let message = format!(
            "is shorter than the collection_interval: for {interval} − {ttl} = {gap} before each \
             poll a reader asks the node itself; polls always ask it"
        );
        findings.push(FeasibilityFinding::new(
            Severity::Note,
            &["cache", "ttl"],
            message,
        ));
    }
    if ttl > max_stale {
        let message = format!("is longer than max_stale: {ttl} > {max_stale}");
        findings.push(FeasibilityFinding::new(
            Severity::Error,
            &["cache", "ttl"],
            message,
        ));
    }
    let open = super::time::times(
        plan.circuit_breaker.open_duration.get(),
        1.0 + plan.circuit_breaker.open_jitter,
    );
    let deadline = plan.deadline();
    let needed = open
        .saturating_add(interval.get())
        .saturating_add(deadline.get());
    if max_stale.get() < needed {
        let message = format!(
            "does not bridge one opening of a breaker: open time + interval + deadline = {} + \
             {interval} + {deadline} = {} > {max_stale}, so every outage leaves a gap",
            show(open),
            show(needed),
        );
        let path = &["cache", "max_stale"];
        findings.push(FeasibilityFinding::new(Severity::Warning, path, message));
    }
}

/// Checks what is special about single endpoints.
fn endpoints(plan: &FeasibilityInput<'_>, findings: &mut Vec<FeasibilityFinding>) {
    for endpoint in plan.endpoints {
        let (name, every) = (&endpoint.name, endpoint.every);
        let interval = plan.interval.get().saturating_mul(every);
        if let Some(objective) = plan.freshness_objective.filter(|_| every > 1)
            && objective.get() < interval
        {
            let message = format!(
                "cannot be kept for `{name}`: it is polled every {}, which is more than {objective}",
                show(interval),
            );
            let path = &["freshness_objective"];
            findings.push(FeasibilityFinding::new(Severity::Warning, path, message));
        }
        let deadline = plan.deadline();
        let each = deadline.get().as_micros() / u128::from(endpoint.in_a_row.max(1));
        if endpoint.in_a_row > 1 {
            let message = format!(
                "has to be enough for {} requests of `{name}` in a row, its pages and elements at \
                 most: {deadline} / {} = {} ms for each",
                endpoint.in_a_row,
                endpoint.in_a_row,
                each / 1000,
            );
            let severity = match each < SHORT_MICROS {
                true => Severity::Warning,
                false => Severity::Note,
            };
            findings.push(FeasibilityFinding::new(severity, &["deadline"], message));
        }
    }
}

/// Few servers answer faster, in microseconds.
const SHORT_MICROS: u128 = 5_000;

/// Checks that the shared budget is enough for all targets, and that no two targets are one host.
fn fleet(plan: &FeasibilityInput<'_>, findings: &mut Vec<FeasibilityFinding>) {
    for (index, (name, hosts)) in plan.targets.iter().enumerate() {
        let earlier = plan.targets.iter().take(index);
        let same = |(other, theirs): &'_ (String, Vec<String>)| {
            let host = hosts.iter().find(|host| theirs.contains(host))?;
            Some((other.clone(), host))
        };
        if let Some((other, host)) = earlier.into_iter().find_map(same) {
            let message = format!(
                "`{other}` and `{name}` are one host, {host}, with 2 breakers: each has to find \
                 out for itself that it is down"
            );
            findings.push(FeasibilityFinding::new(
                Severity::Warning,
                &["targets"],
                message,
            ));
        }
    }
    let as_u64 = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let polls = as_u64(plan.targets.len()).saturating_mul(as_u64(plan.endpoints.len()));
    let retries = u64::from(plan.retry.max_retries);
    let wanted = polls.saturating_mul(retries);
    let floor = budget::floor(plan.targets.len());
    if wanted > floor.saturating_add(polls / 5) {
        let message = format!(
            "if all targets fail at once: {} targets × {} endpoints × {retries} retries = \
             {wanted} an interval, of which the budget allows {floor} + 20 % of the attempts",
            plan.targets.len(),
            plan.endpoints.len(),
        );
        findings.push(FeasibilityFinding::new(
            Severity::Note,
            &["retry", "max_retries"],
            message,
        ));
    }
}

/// The longest chain of attempts that is written out.
const SHOWN: u32 = 20;

/// The adaptive timeout for a node that answers fast.
const SHORTEST: std::time::Duration = super::timeout::FLOOR;

/// A duration in the syntax of the configuration.
fn show(span: std::time::Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

impl FeasibilityInput<'_> {
    fn deadline(&self) -> Duration {
        show(config::deadline(self.deadline, self.interval))
    }
}

impl FeasibilityFinding {
    fn new(severity: Severity, path: &'static [&'static str], message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            severity,
            path,
            message,
        }
    }
}

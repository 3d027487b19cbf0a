//! Which hosts a probe made hang, so that the next probe asks them for something else.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;

use crate::{receivers::http_json::telemetry::ReceiverTelemetry, resilience::caution::Caution};

/// No more hosts are remembered. Those of which nothing is suspected are not.
const HOSTS_MAX: usize = 1000;

/// A URL and the digest of a definition, whose endpoints the suspicion is about.
type ProbedHost = (String, u64);

/// What is known of the hosts that hang since they were probed.
#[derive(Debug, Default)]
pub(super) struct ProbedHosts(Mutex<HashMap<ProbedHost, Caution>>);

impl ProbedHosts {
    /// What is known of a host.
    pub(super) fn of(&self, host: &ProbedHost) -> Option<Caution> {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(host).cloned()
    }

    /// Notes what a probe found out. Where there are too many hosts, that is forgotten which is
    /// known for longest.
    pub(super) fn note(&self, host: ProbedHost, caution: Caution, telemetry: &ReceiverTelemetry) {
        // What is lost by a panic elsewhere is one host.
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if caution.suspected_since().is_none() {
            hosts.remove(&host);
            return;
        }
        let is_new = hosts.insert(host, caution).is_none();
        if !is_new {
            return;
        }
        telemetry.probed_suspect("remembered");
        if hosts.len() > HOSTS_MAX {
            let since = |caution: &Caution| -> Option<Instant> { caution.suspected_since() };
            let oldest = hosts.iter().min_by_key(|(_, caution)| since(caution));
            if let Some(host) = oldest.map(|(host, _)| host.clone()) {
                hosts.remove(&host);
                telemetry.probed_suspect("forgotten");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry_sdk::metrics::SdkMeterProvider;

    use super::*;
    use crate::{
        resilience::caution::{Heard, Next},
        telemetry::Meter,
    };

    /// A host that hangs since its second endpoint was asked.
    fn hanging(now: Instant) -> Caution {
        let mut caution = Caution::new(2);
        caution.alone(now, 0, Heard::Answer);
        let (next, _) = caution.alone(now, 1, Heard::Silence);
        assert_eq!(next, Next::Confirm(0));
        caution.confirmed(now, (1, Heard::Silence), Heard::Silence);
        caution
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_hosts_are_remembered_and_those_that_are_well_are_not() {
        let telemetry = ReceiverTelemetry::new(&Meter::of(&SdkMeterProvider::default()), "test");
        let hosts = ProbedHosts::default();
        let host = |n: usize| (format!("http://host-{n}:1"), 7);
        for n in 0..=HOSTS_MAX {
            hosts.note(host(n), hanging(Instant::now()), &telemetry);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(hosts.of(&host(0)).is_none(), "the oldest made room");
        let known = hosts.of(&host(1)).unwrap();
        assert!(known.is_left_out(Instant::now(), 1));
        assert!(hosts.of(&("http://host-1:1".to_owned(), 8)).is_none());
        hosts.note(host(1), Caution::new(2), &telemetry);
        assert!(hosts.of(&host(1)).is_none());
    }
}

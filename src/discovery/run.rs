//! Runs the sources and merges what they say.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::{
    DiscoveredTarget, Discovery, Found,
    findings::{Findings, LastFindings, SourceSnapshots},
    merge::{Merge, Merged},
    notice::notice,
    source::SourceSnapshot,
    status::SourceStatuses,
};
use crate::runtime::Tasks;

impl Discovery {
    /// Asks the sources until `tasks` stops. What is found stands in the channel, from the first
    /// answer on.
    pub fn start(self, receiver: &str, tasks: &Tasks) -> watch::Receiver<Found> {
        let slots = watch::Sender::new(vec![None; self.sources.len()]);
        let known = slots.subscribe();
        for (position, source) in self.sources.into_iter().enumerate() {
            let name = format!("{} of {receiver}", source.name());
            let (slots, stop) = (slots.clone(), tasks.stopping());
            let run = source.run(move |known| publish(&slots, position, known));
            tasks.spawn(name, async move {
                stop.run_until_cancelled(run).await;
            });
        }
        let (sender, found) = watch::channel(Found::default());
        let (merge, status, findings) = (self.merge, self.status, self.findings);
        let stop = tasks.stopping();
        tasks.spawn_supervised(format!("discovery of {receiver}"), move || {
            let reporting = MergeReport {
                status: Arc::clone(&status),
                findings: Arc::clone(&findings),
            };
            let merge = Arc::clone(&merge);
            let merging = merge_each_change(merge, reporting, known.clone(), sender.clone());
            stop.clone().run_until_cancelled_owned(merging).map(drop)
        });
        found
    }
}

/// An answer that says what was known is no news.
fn publish(slots: &watch::Sender<SourceSnapshots>, position: usize, known: SourceSnapshot) {
    slots.send_if_modified(|slots| match slots.get_mut(position) {
        Some(slot) if slot.as_deref() != Some(&known) => {
            *slot = Some(Arc::new(known));
            true
        }
        _ => false,
    });
}

/// Where a merge says what it did.
struct MergeReport {
    status: Arc<SourceStatuses>,
    findings: Arc<LastFindings>,
}

async fn merge_each_change(
    merge: Arc<Merge>,
    report: MergeReport,
    mut slots: watch::Receiver<SourceSnapshots>,
    sender: watch::Sender<Found>,
) {
    let mut complaints = BTreeMap::new();
    let mut had_targets = false;
    while slots.changed().await.is_ok() {
        let known = slots.borrow_and_update().clone();
        let is_complete = known.iter().all(Option::is_some);
        let (by, polled) = (Arc::clone(&merge), Arc::clone(&sender.borrow().targets));
        // A hundred thousand targets take long enough to delay a poll.
        let merged = tokio::task::spawn_blocking(move || {
            let merged = merge_known(&by, &known, &polled);
            (merged, known)
        });
        let (mut merged, known) = match merged.await {
            Ok(done) => done,
            // Begun anew by who runs this; what was found before stays.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_stopping) => return,
        };
        report.status.counted(&merged.counts);
        report.findings.set(Findings {
            merge: Arc::clone(&merge),
            known,
            results: std::mem::take(&mut merged.results),
        });
        for (error, address) in &merged.complaints {
            if !complaints.contains_key(error) {
                tracing::warn!(address, error, "discovered targets are left out");
            }
        }
        complaints = merged.complaints;
        if is_complete {
            let notice = notice(&merged.counts, had_targets);
            report.status.noted(notice);
        }
        had_targets |= merged.counts.iter().flatten().any(|count| *count > 0);
        let found = Found {
            targets: merged.targets.into(),
            is_complete,
        };
        sender.send_if_modified(|last| {
            let is_news = *last != found;
            *last = found;
            is_news
        });
    }
}

fn merge_known(merge: &Merge, slots: &SourceSnapshots, polled: &[DiscoveredTarget]) -> Merged {
    let nothing = SourceSnapshot::default();
    let known = slots.iter().map(|slot| slot.as_deref().unwrap_or(&nothing));
    merge.merge(known, polled)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use opentelemetry_sdk::metrics::SdkMeterProvider;

    use super::*;
    use crate::{
        client::auth::Authenticators,
        discovery::{Context, DiscoverySettings, FileSdConfig, Scheme, StaticConfig},
        runtime::Clock,
        telemetry::Meter,
    };

    #[tokio::test]
    async fn what_all_sources_say_is_merged_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("{}/targets.json", folder.path().display());
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write(r#"[{"targets": ["b:1", "a:1"]}]"#);
        let fixed = StaticConfig {
            targets: vec!["c:1".to_owned(), "taken:1".to_owned()],
            labels: Default::default(),
        };
        let files = FileSdConfig {
            files: vec![path.clone()],
            refresh_interval: crate::settings::Duration::from_secs(300),
        };
        let settings = DiscoverySettings {
            scheme: Scheme::Http,
            static_configs: &[fixed],
            file_sd_configs: &[files],
            http_sd_configs: &[],
            dns_sd_configs: &[],
            kubernetes_sd_configs: &[],
            relabel_configs: &[],
            target_limit: 10,
            shard: None,
        };
        let context = Context {
            receiver: "betanet",
            taken: BTreeSet::from(["taken:1".to_owned()]),
            authenticators: &Authenticators::default(),
            clock: &Clock::System,
            meter: &Meter::of(&SdkMeterProvider::default()),
        };
        let discovery = Discovery::new(&settings, context).unwrap();
        let sources = discovery.sources();
        let (tasks, _failures) = Tasks::new();
        let mut found = discovery.start("betanet", &tasks);
        let complete = found.wait_for(|found| found.is_complete).await.unwrap();
        let names: Vec<_> = complete.targets.iter().map(|t| t.name.clone()).collect();
        assert_eq!(names, ["c:1", "b:1", "a:1"]);
        drop(complete);
        let kept: Vec<_> = sources.list().iter().map(|s| s.targets().next()).collect();
        assert_eq!(
            kept.iter().flatten().map(|(_, n)| *n).collect::<Vec<_>>(),
            [1, 2]
        );

        // The folder is watched: the interval would be five minutes.
        write(r#"[{"targets": ["d:1"]}]"#);
        let changed = found.wait_for(|found| found.targets.iter().any(|t| t.name == "d:1"));
        let changed = tokio::time::timeout(Duration::from_secs(20), changed).await;
        assert_eq!(changed.unwrap().unwrap().targets.len(), 2);
        tasks
            .stop(tokio::time::Instant::now() + Duration::from_secs(20))
            .await;
    }
}

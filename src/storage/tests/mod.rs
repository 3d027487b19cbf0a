//! Tests that confirmed records survive any crash, and that damage is noticed.
#![expect(
    clippy::cast_possible_truncation,
    reason = "the sizes and marks of the tests are small"
)]

mod damage;
pub(crate) mod disk;

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;

use self::disk::Disk;
use super::*;
use crate::pipeline::Reporter;

/// An action of a queue, or an event.
#[derive(Debug, Clone)]
enum QueueAction {
    /// Adds records of these sizes, and removes the oldest ones.
    Write { sizes: Vec<usize>, removed: usize },
    /// The power fails after this number of operations on the disk. `seed` chooses which operations
    /// after the last sync are on it, and how much of one.
    PowerFails { after: usize, seed: u64 },
    /// The process is killed after this number of operations on the disk. The system still writes
    /// everything.
    Killed { after: usize },
    /// Closes the log without another operation, and opens it again.
    Reopen,
    /// Every write fails until the log is opened again.
    Full,
}

fn action() -> impl Strategy<Value = QueueAction> {
    let size = prop_oneof![0_usize..300, 60_000_usize..200_000];
    let sizes = prop::collection::vec(size, 0..4);
    prop_oneof![
        6 => (sizes, 0_usize..4).prop_map(|(sizes, removed)| QueueAction::Write { sizes, removed }),
        3 => (0_usize..60, any::<u64>()).prop_map(|(after, seed)| QueueAction::PowerFails { after, seed }),
        1 => (0_usize..60).prop_map(|after| QueueAction::Killed { after }),
        1 => Just(QueueAction::Reopen),
        1 => Just(QueueAction::Full),
    ]
}

/// The records that must be in a log, and those that may be.
#[derive(Debug, Default)]
struct Model {
    /// The confirmed records, by id.
    certain: BTreeMap<u64, Bytes>,
    /// The records after the last write, which failed.
    possible: Option<BTreeMap<u64, Bytes>>,
    next_id: u64,
    /// Whether any write was ever confirmed.
    exists: bool,
}

impl Model {
    /// Writes to `log`. Returns whether the write was confirmed.
    fn write(&mut self, log: &mut Log, sizes: &[usize], removed: usize) -> bool {
        let mut after = self.certain.clone();
        let oldest: Vec<u64> = after.keys().copied().take(removed).collect();
        let ranges: Vec<RangeInclusive<u64>> = oldest.iter().map(|id| *id..=*id).collect();
        after.retain(|id, _| !oldest.contains(id));
        let mut records = Vec::new();
        for size in sizes {
            let payload = Bytes::from(vec![self.next_id as u8; *size]);
            after.insert(self.next_id, payload.clone());
            records.push(record(self.next_id, payload));
            self.next_id += 1;
        }
        match log.write(&records, &ranges) {
            Ok(()) => {
                (self.certain, self.possible, self.exists) = (after, None, true);
                true
            }
            Err(error) => {
                assert!(!matches!(error, StorageError::Damaged(_)), "{error:?}");
                self.possible = Some(after);
                false
            }
        }
    }

    /// Checks that the log has all confirmed records, and either all or nothing of a failed write.
    fn check(&mut self, log: &mut Log) {
        let opened = log.open().unwrap();
        // The only exception is a crash while the file was created.
        assert!(opened.loss.is_none() || !self.exists, "{opened:?}");
        let entries = opened.entries;
        self.exists = true;
        let mut found = BTreeMap::new();
        for entry in &entries {
            let (payload, points) = log.read(entry.id..=entry.id).unwrap();
            assert_eq!((points, payload.len() as u64), (entry.points, entry.bytes));
            assert_eq!(entry.created, Duration::from_millis(entry.id));
            found.insert(entry.id, payload);
        }
        let ids: Vec<u64> = entries.iter().map(|entry| entry.id).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        if self.possible.as_ref() == Some(&found) {
            self.certain = found;
        } else {
            assert!(
                found == self.certain,
                "{:?} of {:?}",
                ids,
                self.certain.keys()
            );
        }
        self.possible = None;
    }
}

fn record(id: u64, payload: Bytes) -> Record {
    Record {
        id,
        points: id * 3,
        created: Duration::from_millis(id),
        payload,
    }
}

fn happen(disk: &Disk, log: &mut Log, model: &mut Model, action: QueueAction) {
    match action {
        QueueAction::Write { sizes, removed } => {
            if !model.write(log, &sizes, removed) {
                *log = restart(disk, model);
            }
        }
        QueueAction::PowerFails { after, seed } => disk.power_fails(after, seed),
        QueueAction::Killed { after } => disk.process_killed(after),
        QueueAction::Full => disk.set_full(true),
        QueueAction::Reopen => *log = restart(disk, model),
    }
}

/// Another process on the same disk.
fn restart(disk: &Disk, model: &mut Model) -> Log {
    disk.restart();
    let mut log = Log::new(disk.clone());
    model.check(&mut log);
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(50)
    ))]

    #[test]
    fn confirmed_records_survive_every_crash(
        actions in prop::collection::vec(action(), 1..25),
    ) {
        let (disk, mut model) = (Disk::default(), Model::default());
        let mut log = Log::new(disk.clone());
        for action in actions {
            happen(&disk, &mut log, &mut model, action);
        }
        restart(&disk, &mut model);
    }
}

#[test]
fn a_crash_at_any_operation_of_a_write_loses_no_confirmed_record() {
    let mut crashes = 0;
    for after in 0.. {
        let (disk, mut model) = (Disk::default(), Model::default());
        let mut log = Log::new(disk.clone());
        assert!(model.write(&mut log, &[10, 100_000], 0));
        assert!(model.write(&mut log, &[20], 1));
        disk.power_fails(after, after as u64);
        let acknowledged = model.write(&mut log, &[30, 40], 1);
        drop(log);
        restart(&disk, &mut model);
        if acknowledged {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 3, "{crashes}");
}

#[test]
fn a_full_disk_loses_nothing_and_works_again_when_there_is_room() {
    let (disk, mut model) = (Disk::default(), Model::default());
    let mut log = Log::new(disk.clone());
    assert!(model.write(&mut log, &[100], 0));
    disk.set_full(true);
    assert!(!model.write(&mut log, &[100], 0));
    disk.set_full(false);
    model.next_id -= 1; // the failed record is written again
    assert!(
        model.write(&mut log, &[100], 0),
        "the same log opens it again"
    );
    model.check(&mut log);
}

#[test]
fn a_file_is_at_most_twice_as_large_as_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = directory(folder.path()).log("a");
    let (held, size) = (8 << 20, 100_000);
    let mut oldest = 0;
    for id in 0..400 {
        let records = [record(id, Bytes::from(vec![7; size]))];
        let fits = (id + 1 - oldest) * size as u64 <= held;
        let removed: &[_] = if fits { &[] } else { &[oldest..=oldest] };
        oldest += removed.len() as u64;
        log.write(&records, removed).unwrap();
    }
    let bytes = std::fs::metadata(folder.path().join("a.redb"))
        .unwrap()
        .len();
    assert!(bytes <= 2 * held + (1 << 20), "{bytes}");
}

fn directory(path: &std::path::Path) -> Directory {
    let settings = DirectorySettings {
        path: path.to_owned(),
        create: false,
        permissions: 0o750,
        timeout: Duration::from_millis(100),
        fsync: true,
        max_bytes: 1 << 30,
    };
    Directory::new(settings, Reporter::unheard())
}

#[tokio::test]
async fn only_one_process_can_use_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let first = directory(folder.path());
    first.open().await.unwrap();
    let second = directory(folder.path()).open().await.unwrap_err();
    let expected = format!("the directory {} is in use", folder.path().display());
    assert_eq!(second.to_string(), expected);
    drop(first);
    directory(folder.path()).open().await.unwrap();
}

#[tokio::test]
async fn a_directory_with_other_settings_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let first = directory(folder.path());
    first.open().await.unwrap();
    let with = |path: &std::path::Path| DirectorySettings {
        path: path.to_owned(),
        create: false,
        permissions: 0o750,
        timeout: Duration::from_millis(100),
        fsync: false,
        max_bytes: 7,
    };
    let next = first.under(with(folder.path())).unwrap();
    assert!(next.is_open() && next.is_same(&first));
    assert_eq!(next.max_bytes(), 7);
    drop(first);
    assert!(
        directory(folder.path()).open().await.is_err(),
        "it is still locked"
    );
    assert!(next.under(with(&folder.path().join("other"))).is_none());
}

#[test]
fn a_log_can_be_opened_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (
        directory(folder.path()).log("a/b:c"),
        directory(folder.path()).log("a/b:c"),
    );
    first.open().unwrap();
    assert!(matches!(second.open(), Err(StorageError::InUse)));
    first.close();
    second.open().unwrap();
    assert!(folder.path().join("a~002Fb~003Ac.redb").exists());
}

#[test]
fn a_missing_directory_is_a_disk_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = directory(&folder.path().join("gone")).log("a");
    assert!(matches!(log.open(), Err(StorageError::Disk(_))));
}

#[test]
fn links_in_the_directory_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    let queue = folder.path().join("queue");
    std::fs::create_dir(&queue).unwrap();
    let settings = DirectorySettings {
        path: queue.clone(),
        create: false,
        permissions: 0o700,
        timeout: Duration::ZERO,
        fsync: false,
        max_bytes: 1 << 20,
    };
    let write = || {
        let directory = Directory::new(settings.clone(), Reporter::unheard());
        let mut log = directory.log("otlp");
        log.open().and_then(|_| {
            let record = Record {
                id: 1,
                points: 1,
                created: Duration::ZERO,
                payload: Bytes::from_static(b"x"),
            };
            log.write(&[record], &[])
        })
    };
    for name in ["otlp.redb", "otlp.held"] {
        std::fs::write(&outside, "untouched").unwrap();
        std::os::unix::fs::symlink(&outside, queue.join(name)).unwrap();
        let written = write();
        assert_eq!(std::fs::read(&outside).unwrap(), b"untouched", "{name}");
        // Errors of the sidecar file are ignored, but not those of the log.
        assert_eq!(written.is_err(), name == "otlp.redb");
        std::fs::remove_file(queue.join(name)).unwrap();
    }
    assert!(write().is_ok());
}

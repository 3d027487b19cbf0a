//! Tests with damaged bytes: every returned record is as it was written and in its order, every
//! intact record is returned, and every other one is counted.

use super::*;

/// Damage to a file.
#[derive(Debug, Clone)]
enum Damage {
    /// Changed bits of a byte.
    Flip(prop::sample::Index, u8),
    /// A sector of zeros.
    Sector(prop::sample::Index),
    /// A missing end.
    Cut(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        6 => (at(), 1_u8..).prop_map(|(at, flip)| Damage::Flip(at, flip)),
        2 => at().prop_map(Damage::Sector),
        1 => at().prop_map(Damage::Cut),
    ]
}

impl Damage {
    /// The most records that it can affect.
    fn records(&self) -> Option<usize> {
        match self {
            Self::Flip(..) => Some(1),
            Self::Sector(_) => Some(512 / RECORD_BYTES + 1),
            Self::Cut(_) => None,
        }
    }

    fn happen(&self, file: &mut Vec<u8>) {
        match self {
            _ if file.is_empty() => {}
            Self::Flip(at, flip) => {
                let at = at.index(file.len());
                file[at] ^= flip;
            }
            Self::Sector(at) => {
                let at = at.index(file.len()) / 512 * 512;
                let end = file.len().min(at + 512);
                file[at..end].fill(0);
            }
            Self::Cut(at) => file.truncate(at.index(file.len())),
        }
    }
}

/// The smallest record with everything that is written for it, in bytes.
const RECORD_BYTES: usize = 64;

/// A log after writes of records with these sizes, each of which removes some of the oldest ones;
/// closed, or killed.
fn written(writes: &[(Vec<usize>, usize)], is_closed: bool) -> (Disk, Model) {
    let (disk, mut model) = (Disk::default(), Model::default());
    let mut log = Log::new(disk.clone());
    for (sizes, removed) in writes {
        assert!(model.write(&mut log, sizes, *removed));
    }
    if !is_closed {
        disk.process_killed(0);
    }
    drop(log);
    disk.restart();
    (disk, model)
}

/// Opens it and checks that each returned record is as it was written. Returns the number of
/// missing records.
fn reopened(disk: &Disk, model: &Model) -> usize {
    let mut log = Log::new(disk.clone());
    let opened = log.open().unwrap();
    let ids: Vec<u64> = opened.entries.iter().map(|entry| entry.id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let mut points = 0;
    for entry in &opened.entries {
        let (payload, _) = log.read(entry.id..=entry.id).unwrap();
        assert_eq!(Some(&payload), model.certain.get(&entry.id), "invented");
        assert_eq!(entry.created, Duration::from_millis(entry.id));
        points += entry.points;
    }
    let expected: u64 = model.certain.keys().map(|id| id * 3).sum();
    let lost = opened.loss.as_ref().map_or(Some(0), |loss| loss.points);
    assert_eq!(lost.map(|lost| lost + points), Some(expected), "{opened:?}");
    let missing = model.certain.len() - ids.len();

    log.write(&[record(1_000, Bytes::from_static(b"new"))], &[0..=999])
        .unwrap();
    drop(log);
    let opened = Log::new(disk.clone()).open().unwrap();
    assert_eq!((opened.entries[0].id, opened.entries.len()), (1_000, 1));
    assert!(opened.loss.is_none(), "{opened:?}");
    missing
}

fn writes() -> impl Strategy<Value = Vec<(Vec<usize>, usize)>> {
    let size = prop_oneof![3 => 0_usize..300, 1 => 60_000_usize..200_000];
    prop::collection::vec((prop::collection::vec(size, 0..5), 0_usize..3), 1..10)
}

#[test]
fn a_file_that_is_not_a_log_is_lost_and_counted() {
    let damages: [fn(&mut Vec<u8>); 4] = [
        Vec::clear,
        |file| *file = b"not a database".repeat(1000),
        |file| file[..4096].fill(0),
        |file| file.iter_mut().skip(4096).for_each(|byte| *byte ^= 0x55),
    ];
    for (at, damage) in damages.into_iter().enumerate() {
        let (disk, model) = written(&[(vec![10, 100_000, 20], 0), (vec![30], 1)], at % 2 == 0);
        disk.damage(damage);
        let saved = model.certain.len() - reopened(&disk, &model);
        assert_eq!(saved, [0, 0, 3, 0][at], "{at}");
    }
}

#[test]
fn all_intact_records_of_a_randomly_damaged_file_are_recovered() {
    for seed in 0..20 {
        let (folder, mut rng) = (tempfile::tempdir().unwrap(), fastrand::Rng::with_seed(seed));
        let mut log = directory(folder.path()).log("a");
        let payload = |id: u64| Bytes::from(vec![id as u8; 500 * id as usize]);
        let records: Vec<_> = (1..60).map(|id| record(id, payload(id))).collect();
        for records in records.chunks(7) {
            log.write(records, &[]).unwrap();
        }
        log.write(&[], &[1..=9]).unwrap();
        drop(log);
        let path = folder.path().join("a.redb");
        let mut file = std::fs::read(&path).unwrap();
        let flips = rng.usize(1..10);
        for _ in 0..flips {
            let at = rng.usize(..file.len());
            file[at] ^= rng.u8(1..);
        }
        std::fs::write(&path, file).unwrap();

        let mut log = directory(folder.path()).log("a");
        let opened = log.open().unwrap();
        let ids: Vec<u64> = opened.entries.iter().map(|entry| entry.id).collect();
        assert!(
            ids.is_sorted() && ids.iter().all(|id| (10..60).contains(id)),
            "{ids:?}"
        );
        for id in &ids {
            assert_eq!(log.read(*id..=*id).unwrap(), (payload(*id), id * 3));
        }
        let lost = (10..60)
            .filter(|id| !ids.contains(id))
            .map(|id| id * 3)
            .sum();
        let is_aside = path.with_extension("damaged").exists();
        assert_eq!(is_aside, opened.loss.is_some());
        assert_eq!(opened.loss.map_or(Some(0), |loss| loss.points), Some(lost));
        assert!(50 - ids.len() <= flips, "{ids:?}");
    }
}

#[test]
fn without_the_sidecar_file_the_number_of_lost_points_is_unknown() {
    let (disk, model) = written(&[(vec![10, 20], 0), (vec![30], 0)], true);
    disk.forget_note();
    disk.damage(|file| file[..4096].fill(0));
    assert_eq!(reopened(&disk, &model), 0);
    disk.forget_note();
    disk.damage(|file| file.fill(0));
    let opened = Log::new(disk).open().unwrap();
    assert_eq!(opened.loss.unwrap().points, None, "the number is unknown");
}

#[test]
fn an_interrupted_recovery_loses_nothing() {
    let mut ends = 0;
    for after in 0.. {
        let (disk, model) = written(&[(vec![10, 100_000, 20], 0), (vec![30], 1)], true);
        disk.damage(|file| file[..4096].fill(0));
        disk.power_fails(after, after as u64);
        let is_done = Log::new(disk.clone()).open().is_ok();
        disk.restart();
        if is_done {
            break;
        }
        assert_eq!(reopened(&disk, &model), 0);
        ends += 1;
    }
    assert!(ends > 3, "{ends}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60)
    ))]

    #[test]
    fn only_damaged_records_are_lost_and_they_are_counted(
        writes in writes(),
        is_closed: bool,
        damages in prop::collection::vec(damage(), 1..8),
    ) {
        let (disk, model) = written(&writes, is_closed);
        disk.damage(|file| damages.iter().for_each(|damage| damage.happen(file)));
        let missing = reopened(&disk, &model);
        let touched: Option<usize> = damages.iter().map(Damage::records).sum();
        // After a kill, redb may treat the last write as one that never finished.
        let last = writes.last().map_or(0, |(sizes, _)| if is_closed { 0 } else { sizes.len() });
        let at_most = touched.map(|touched| touched + last);
        prop_assert!(at_most.is_none_or(|most| missing <= most), "{} missing", missing);
    }
}

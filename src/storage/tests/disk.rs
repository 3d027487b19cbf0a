//! A model of a disk: writes that no sync has finished may be on it after a crash completely, in
//! part, in any order, or not at all.

use std::{
    io::{self, Cursor},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use redb::{Builder, Database, StorageBackend};

use crate::storage::{Backend, Quarantined};

/// The smallest unit: a sector is on the disk or not.
const SECTOR: usize = 512;

/// A disk with one file. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<DiskState>>);

#[derive(Debug, Default)]
struct DiskState {
    /// What the process sees.
    seen: Vec<u8>,
    /// What is on the disk permanently.
    synced: Vec<u8>,
    /// The operations after the last sync.
    unsynced: Vec<Operation>,
    /// A quarantined file.
    aside: Option<Vec<u8>>,
    /// The sidecar file, and its previous contents.
    notes: [Vec<u8>; 2],
    /// Counts down to a crash.
    crash: Option<(usize, Crash)>,
    /// A crashed process does nothing any more. A new one has another number.
    process: u64,
    crashed: bool,
    full: bool,
}

#[derive(Debug, Clone, Copy)]
enum Crash {
    Power(u64),
    Kill,
}

#[derive(Debug, Clone)]
enum Operation {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl Disk {
    /// The power fails after this number of operations.
    pub(crate) fn power_fails(&self, after: usize, seed: u64) {
        self.lock().crash = Some((after, Crash::Power(seed)));
    }

    /// The process is killed after this number of operations.
    pub(crate) fn process_killed(&self, after: usize) {
        self.lock().crash = Some((after, Crash::Kill));
    }

    /// Sets whether the disk is full.
    pub(crate) fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// Starts another process; there is power and room again.
    pub(crate) fn restart(&self) {
        let mut state = self.lock();
        state.process += 1;
        (state.crash, state.crashed, state.full) = (None, false, false);
    }

    /// Removes the sidecar file.
    pub(crate) fn forget_note(&self) {
        self.lock().notes = Default::default();
    }

    /// Changes the bytes of the file.
    pub(crate) fn damage(&self, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        damage(&mut state.seen);
        state.synced = state.seen.clone();
        state.unsynced.clear();
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock().unwrap()
    }
}

impl Backend for Disk {
    fn open(&self, builder: &Builder) -> Result<Database, redb::Error> {
        let process = self.lock().process;
        let disk = self.clone();
        Ok(builder.create_with_backend(File { disk, process })?)
    }

    fn quarantine(&self) -> io::Result<Box<dyn Quarantined>> {
        let mut state = self.lock();
        let damaged = std::mem::take(&mut state.seen);
        let aside = state.aside.get_or_insert(damaged).clone();
        state.synced.clear();
        state.unsynced.clear();
        Ok(Box::new(Cursor::new(aside)))
    }

    fn is_aside(&self) -> bool {
        self.lock().aside.is_some()
    }

    fn finish_recovery(&self) -> io::Result<PathBuf> {
        let mut state = self.lock();
        if state.crashed {
            return Err(io::Error::other("crashed"));
        }
        state.aside = None;
        Ok(PathBuf::from("aside"))
    }

    fn note(&self, note: &[u8]) {
        let mut state = self.lock();
        if !state.crashed {
            state.notes.swap(0, 1);
            state.notes[1] = note.to_vec();
        }
    }

    fn noted(&self) -> Vec<u8> {
        self.lock().notes[1].clone()
    }
}

/// The file as one process has it open.
#[derive(Debug)]
struct File {
    disk: Disk,
    process: u64,
}

impl File {
    /// The disk for one operation. An error if the disk crashes at this operation.
    fn operate(&self) -> io::Result<MutexGuard<'_, DiskState>> {
        let mut state = self.disk.lock();
        if state.process != self.process || state.crashed {
            return Err(io::Error::other("the process has ended"));
        }
        match &mut state.crash {
            None => {}
            Some((0, crash)) => {
                let crash = *crash;
                state.crash(crash);
                return Err(io::Error::other("crash"));
            }
            Some((left, _)) => *left -= 1,
        }
        Ok(state)
    }
}

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.lock();
        let offset = offset as usize;
        let range = offset..offset + out.len();
        let bytes = state.seen.get(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.operate()?;
        if state.full && len as usize > state.seen.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.apply(Operation::Resize(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.operate()?;
        if state.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.unsynced.clear();
        state.synced = state.seen.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.operate()?;
        state.apply(Operation::Write(offset as usize, data.to_vec()));
        Ok(())
    }
}

impl DiskState {
    fn apply(&mut self, operation: Operation) {
        operation.apply(&mut self.seen);
        self.unsynced.push(operation);
    }

    fn crash(&mut self, crash: Crash) {
        self.crashed = true;
        if let Crash::Power(seed) = crash {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut unsynced = std::mem::take(&mut self.unsynced);
            rng.shuffle(&mut unsynced);
            let mut left = self.synced.clone();
            for operation in &unsynced {
                match rng.u8(0..3) {
                    0 => {}
                    1 => operation.apply(&mut left),
                    _ => operation.tear(&mut left, &mut rng),
                }
            }
            self.seen = left;
            if rng.bool() {
                self.notes.swap(0, 1);
            }
        }
        self.synced = self.seen.clone();
        self.unsynced.clear();
    }
}

impl Operation {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Resize(len) => file.resize(*len, 0),
            Self::Write(offset, data) => put(file, *offset, data),
        }
    }

    /// Each sector is independently on the disk or not.
    fn tear(&self, file: &mut Vec<u8>, rng: &mut fastrand::Rng) {
        match self {
            Self::Resize(_) => self.apply(file),
            Self::Write(offset, data) => {
                for (at, sector) in (0..).zip(data.chunks(SECTOR)) {
                    if rng.bool() {
                        put(file, offset + at * SECTOR, sector);
                    }
                }
            }
        }
    }
}

fn put(file: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(data);
}

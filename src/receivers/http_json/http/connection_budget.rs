//! How many connections targets may keep between polls.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How many connections the targets of a receiver may keep open between polls. Each is a file
/// descriptor, and with TLS some 30 KB of buffers: a large fleet has neither to spare.
#[derive(Debug)]
pub(crate) struct ConnectionBudget {
    /// What one target would keep.
    per_target: usize,
    of_receiver: ConnectionRoom,
    /// All receivers share the files that the process may open.
    of_process: Arc<ConnectionRoom>,
}

/// Room for connections, and the targets among which it is divided.
#[derive(Debug)]
pub(crate) struct ConnectionRoom {
    targets: AtomicUsize,
    max: usize,
}

impl ConnectionRoom {
    /// Room for `max` connections.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            targets: AtomicUsize::new(0),
            max,
        }
    }

    /// The connections that each target has room for.
    fn per_target(&self) -> usize {
        self.max / self.targets.load(Ordering::Relaxed).max(1)
    }
}

impl ConnectionBudget {
    /// Room for `max` connections of a receiver, within that of the process; each target would keep
    /// `per_target`.
    pub(crate) fn new(per_target: usize, max: usize, of_process: &Arc<ConnectionRoom>) -> Self {
        Self {
            per_target,
            of_receiver: ConnectionRoom::new(max),
            of_process: Arc::clone(of_process),
        }
    }

    /// What one target would keep.
    pub(crate) fn per_target(&self) -> usize {
        self.per_target
    }

    fn rooms(&self) -> [&ConnectionRoom; 2] {
        [&self.of_receiver, &self.of_process]
    }

    /// There is another target.
    pub(crate) fn add_target(&self) {
        for room in self.rooms() {
            room.targets.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A target is gone.
    pub(crate) fn remove_target(&self) {
        for room in self.rooms() {
            room.targets.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many connections each target may keep: one for each endpoint if there is room for those
    /// of all targets, else one, else none. Which targets are polled over new connections must not
    /// be a matter of luck.
    pub(crate) fn kept_per_target(&self) -> usize {
        let [of_receiver, of_process] = self.rooms().map(ConnectionRoom::per_target);
        match of_receiver.min(of_process) {
            0 => 0,
            room if room < self.per_target => 1,
            _ => self.per_target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_kept_as_long_as_there_is_room_for_those_of_all_targets() {
        let process = Arc::new(ConnectionRoom::new(100));
        let budget = ConnectionBudget::new(3, 6, &process);
        for expected in [3, 3, 1, 1, 1, 1, 0] {
            budget.add_target();
            assert_eq!(budget.kept_per_target(), expected);
        }
        for _ in 0..7 {
            budget.remove_target();
        }
        assert_eq!(budget.kept_per_target(), 3);
    }

    #[test]
    fn receivers_share_the_files_of_the_process() {
        let process = Arc::new(ConnectionRoom::new(6));
        let [one, other] = [(); 2].map(|()| ConnectionBudget::new(3, 100, &process));
        let kept = || [&one, &other].map(ConnectionBudget::kept_per_target);
        one.add_target();
        other.add_target();
        assert_eq!(kept(), [3, 3]);
        one.add_target();
        assert_eq!(kept(), [1, 1]);
        other.remove_target();
        assert_eq!(kept(), [3, 3]);
    }
}

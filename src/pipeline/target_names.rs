//! Who polls which target: a name is one target's, whichever receiver it comes from.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// The names that are taken. Two targets of one name would be one set of series with two values.
#[derive(Debug, Default)]
pub struct TargetNames {
    /// The receiver of each.
    taken: Mutex<BTreeMap<String, String>>,
    freed: Notify,
}

/// A name, given back when it is dropped.
#[derive(Debug)]
pub struct NameLease {
    names: Arc<TargetNames>,
    name: String,
}

impl TargetNames {
    /// Takes a name for a receiver as soon as it is free. `on_wait` is told once which receiver
    /// has it, if one has.
    pub async fn take(
        self: &Arc<Self>,
        name: &str,
        receiver: &str,
        on_wait: impl FnOnce(&str),
    ) -> NameLease {
        let mut on_wait = Some(on_wait);
        loop {
            // Made before the look, so that it hears of a name that is freed in between.
            let freed = self.freed.notified();
            let holder = match self.try_take(name, receiver) {
                Ok(taken) => return taken,
                Err(holder) => holder,
            };
            if let Some(on_wait) = on_wait.take() {
                on_wait(&holder);
            }
            freed.await;
        }
    }

    /// The name, or the receiver that has it.
    fn try_take(self: &Arc<Self>, name: &str, receiver: &str) -> Result<NameLease, String> {
        match self.lock().entry(name.to_owned()) {
            Entry::Occupied(taken) => Err(taken.get().clone()),
            Entry::Vacant(free) => {
                free.insert(receiver.to_owned());
                Ok(NameLease {
                    names: Arc::clone(self),
                    name: name.to_owned(),
                })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // One insertion or removal at a time: whole at every moment.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NameLease {
    fn drop(&mut self) {
        self.names.lock().remove(&self.name);
        self.names.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_name_when_it_is_free() {
        let names = Arc::<TargetNames>::default();
        let first = names.take("node", "a", |_| unreachable!()).await;
        let mut holders = Vec::new();
        {
            let mut second = Box::pin(names.take("node", "b", |holder| {
                holders.push(holder.to_owned());
            }));
            assert!(second.as_mut().now_or_never().is_none());
            drop(names.take("other", "b", |_| unreachable!()).await);
            assert!(second.as_mut().now_or_never().is_none(), "another one");
            drop(first);
            drop(second.await);
        }
        assert_eq!(holders, ["a"], "told once");
        drop(names.take("node", "c", |_| unreachable!()).await);
    }
}

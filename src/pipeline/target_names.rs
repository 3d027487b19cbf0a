//! Makes sure that a target name is used only once, whichever receiver has it.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// The names in use. Two targets with one name would be one set of series with two values.
#[derive(Debug, Default)]
pub struct TargetNames {
    /// The receiver of each name.
    taken: Mutex<BTreeMap<String, String>>,
    freed: Notify,
}

/// A name, which is free again when this is dropped.
#[derive(Debug)]
pub struct NameLease {
    names: Arc<TargetNames>,
    name: String,
}

impl TargetNames {
    /// Takes a name for a receiver as soon as it is free. `on_wait` is called once with the
    /// receiver that has it, if there is one.
    pub async fn take(
        self: &Arc<Self>,
        name: &str,
        receiver: &str,
        on_wait: impl FnOnce(&str),
    ) -> NameLease {
        let mut on_wait = Some(on_wait);
        loop {
            // Created before the check, so that it notices a name that becomes free in between.
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
        // There is one insertion or removal at a time: the map is consistent at every moment.
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
    async fn a_waiting_receiver_gets_the_name_when_it_is_free() {
        let names = Arc::<TargetNames>::default();
        let first = names.take("node", "a", |_| unreachable!()).await;
        let mut holders = Vec::new();
        {
            let mut second = Box::pin(names.take("node", "b", |holder| {
                holders.push(holder.to_owned());
            }));
            assert!(second.as_mut().now_or_never().is_none());
            drop(names.take("other", "b", |_| unreachable!()).await);
            assert!(
                second.as_mut().now_or_never().is_none(),
                "another receiver has the name"
            );
            drop(first);
            drop(second.await);
        }
        assert_eq!(holders, ["a"], "called once");
        drop(names.take("node", "c", |_| unreachable!()).await);
    }
}

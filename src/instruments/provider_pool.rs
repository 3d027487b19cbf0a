//! The providers that all targets with the same instruments share.
//!
//! A provider has only observable instruments for gauges, totals and report metrics. Each collection
//! takes all that was put into it, so between two polls it holds nothing of a target, and the next
//! poll may be that of another one. A provider for each target was a fifth of its memory. The
//! Resource is not in the provider: each target adds its own ([`Collected`](super::Collected)).
//!
//! A collection has its provider alone, until its metrics are exported: then the provider writes the
//! next ones in their place. There are never more than collections at the same time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::provider::Provider;
use crate::pipeline::Schema;

/// All pools that are in use.
static POOLS: Mutex<Vec<Weak<ProviderPool>>> = Mutex::new(Vec::new());

/// The providers of one schema.
#[derive(Debug)]
pub(super) struct ProviderPool {
    schema: Arc<Schema>,
    idle: Mutex<Vec<Provider>>,
}

/// A provider of a pool. It goes back when this is dropped.
#[derive(Debug)]
pub(super) struct ProviderLease {
    pool: Arc<ProviderPool>,
    provider: Option<Provider>,
}

impl ProviderLease {
    /// The provider, until it is given back.
    pub(super) fn provider(&mut self) -> Option<&mut Provider> {
        self.provider.as_mut()
    }
}

impl Drop for ProviderLease {
    fn drop(&mut self) {
        // After a panic it is not used again.
        if let Some(provider) = self.provider.take().filter(|_| !std::thread::panicking()) {
            self.pool.idle().push(provider);
        }
    }
}

impl ProviderPool {
    /// The pool of the schema, or of one that is the same.
    pub(super) fn of(schema: &Arc<Schema>) -> Arc<Self> {
        // The list is consistent at every moment, so a panic elsewhere does no damage.
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pools.iter().filter_map(Weak::upgrade);
        let mut known =
            known.filter(|pool| Arc::ptr_eq(&pool.schema, schema) || pool.schema == *schema);
        if let Some(pool) = known.next() {
            return pool;
        }
        let pool = Arc::new(Self {
            schema: Arc::clone(schema),
            idle: Mutex::default(),
        });
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(&pool));
        pool
    }

    /// The schema, which all targets share.
    pub(super) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// A provider that nobody else uses meanwhile.
    pub(super) fn lease(self: &Arc<Self>) -> ProviderLease {
        let idle = self.idle().pop();
        ProviderLease {
            pool: Arc::clone(self),
            provider: Some(idle.unwrap_or_else(|| Provider::new(&self.schema))),
        }
    }

    /// Forgets the providers whose tables have grown large.
    pub(super) fn shed(&self) {
        self.idle().retain(|provider| !provider.is_roomy());
    }

    #[cfg(test)]
    pub(super) fn is_roomy(&self) -> bool {
        self.idle().iter().any(|provider| provider.is_roomy())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Provider>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

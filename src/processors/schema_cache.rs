//! A cache for what a processor computes once for all targets of a schema.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::pipeline::Schema;

/// The results by schema. A schema without targets is removed.
pub(super) struct SchemaCache<T>(Mutex<Vec<(Weak<Schema>, Arc<T>)>>);

impl<T> Default for SchemaCache<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> SchemaCache<T> {
    /// The result for `schema`, computed now if there is none.
    pub(super) fn of(&self, schema: &Arc<Schema>, make: impl FnOnce(&Schema) -> T) -> Arc<T> {
        // The list is consistent at every moment, so a panic elsewhere does no damage.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(of, _)| of.strong_count() > 0);
        let is_it = |of: &Weak<Schema>| std::ptr::eq(of.as_ptr(), Arc::as_ptr(schema));
        if let Some((_, plan)) = known.iter().find(|(of, _)| is_it(of)) {
            return Arc::clone(plan);
        }
        let plan = Arc::new(make(schema));
        known.push((Arc::downgrade(schema), Arc::clone(&plan)));
        plan
    }
}

impl<T> fmt::Debug for SchemaCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plans").finish_non_exhaustive()
    }
}

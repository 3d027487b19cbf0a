//! The state that outlives the components of one configuration.
//!
//! A reload builds new components. What must survive it, such as counters, open files and the
//! series on a scrape, is not part of a component: it is here, by the id of the component. A
//! component asks for its state when it is built, so the components of both configurations share
//! it. When the last one that uses a state is dropped, the state is dropped too. No component knows
//! its predecessor.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Any state. The components that use it keep it alive.
type AnyState = Weak<dyn Any + Send + Sync>;

/// The state of all components, by key and type.
#[derive(Default)]
pub struct StateStore(Mutex<HashMap<(TypeId, String), Vec<AnyState>>>);

impl StateStore {
    /// The state `T` of the component with this id. If no component uses one, `new` creates it. It
    /// must not use this store.
    pub fn get<T: Any + Send + Sync>(&self, id: &str, new: impl FnOnce() -> Arc<T>) -> Arc<T> {
        self.get_if(id, |_| true, new)
    }

    /// The state `T` with this key that `is_valid` accepts. One that it does not accept stays for
    /// the components that use it: a running configuration must not notice that another one is
    /// built beside it.
    pub fn get_if<T: Any + Send + Sync>(
        &self,
        key: &str,
        is_valid: impl Fn(&T) -> bool,
        new: impl FnOnce() -> Arc<T>,
    ) -> Arc<T> {
        // The map is consistent at every moment.
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|_, states| {
            states.retain(|state| state.strong_count() > 0);
            !states.is_empty()
        });
        let states = states
            .entry((TypeId::of::<T>(), key.to_owned()))
            .or_default();
        let used = states.iter().filter_map(Weak::upgrade);
        let mut used = used.filter_map(|state| state.downcast::<T>().ok());
        if let Some(state) = used.find(|state| is_valid(state)) {
            return state;
        }
        let state = new();
        let weak: AnyState = Arc::<T>::downgrade(&state);
        states.push(weak);
        state
    }
}

impl fmt::Debug for StateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateStore").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(store: &StateStore, key: &str, text: &str) -> Arc<String> {
        store.get_if(key, |state| state == text, || Arc::new(text.to_owned()))
    }

    #[test]
    fn a_state_lives_as_long_as_a_component_uses_it() {
        let store = StateStore::default();
        let first = store.get("a", || Arc::new(1_u32));
        assert_eq!(*store.get("a", || Arc::new(2_u32)), 1);
        assert_eq!(*store.get("b", || Arc::new(3_u32)), 3, "another id");
        assert_eq!(*store.get("a", || Arc::new(4_u64)), 4, "another type");
        drop(first);
        assert_eq!(*store.get("a", || Arc::new(5_u32)), 5);
        drop(get(&store, "c", "x"));
        assert_eq!(store.0.lock().unwrap().len(), 1, "nothing is left behind");
    }

    #[test]
    fn a_state_that_is_not_valid_for_one_component_stays_for_the_others() {
        let store = StateStore::default();
        let (running, built) = (get(&store, "a", "x"), get(&store, "a", "y"));
        assert!(Arc::ptr_eq(&running, &get(&store, "a", "x")));
        drop(built);
        assert!(Arc::ptr_eq(&running, &get(&store, "a", "x")));
    }
}

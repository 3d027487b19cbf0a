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
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// Any state. The components that use it keep it alive.
type AnyState = Weak<dyn Any + Send + Sync>;

/// The state of all components, by key and type.
#[derive(Default)]
pub struct StateStore(Mutex<HashMap<(TypeId, String), Vec<AnyState>>>);

impl StateStore {
    /// The state `T` of the component with this id. If no component uses one, `new` creates it.
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
        match self.try_get_if(key, is_valid, || Ok::<_, Infallible>(new())) {
            Ok(state) => state,
        }
    }

    /// As [`Self::get_if`], where `new` may fail. It may use this store.
    ///
    /// # Errors
    /// The error of `new`.
    pub fn try_get_if<T: Any + Send + Sync, E>(
        &self,
        key: &str,
        is_valid: impl Fn(&T) -> bool,
        new: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E> {
        let key = (TypeId::of::<T>(), key.to_owned());
        if let Some(state) = find(self.lock().get(&key), &is_valid) {
            return Ok(state);
        }
        let new = new()?;
        let mut states = self.lock();
        states.retain(|_, states| {
            states.retain(|state| state.strong_count() > 0);
            !states.is_empty()
        });
        let states = states.entry(key).or_default();
        // Another thread may have been quicker.
        if let Some(state) = find(Some(states), &is_valid) {
            return Ok(state);
        }
        let weak: AnyState = Arc::<T>::downgrade(&new);
        states.push(weak);
        Ok(new)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TypeId, String), Vec<AnyState>>> {
        // The map is consistent at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A state that is in use and valid.
fn find<T: Any + Send + Sync>(
    states: Option<&Vec<AnyState>>,
    is_valid: impl Fn(&T) -> bool,
) -> Option<Arc<T>> {
    let used = states?.iter().filter_map(Weak::upgrade);
    let mut used = used.filter_map(|state| state.downcast::<T>().ok());
    used.find(|state| is_valid(state))
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
    fn a_state_may_be_made_of_others_and_what_fails_leaves_nothing_behind() {
        let store = StateStore::default();
        let any = |_: &String| true;
        let made = || Ok::<_, ()>(Arc::new(format!("{}!", get(&store, "part", "x"))));
        assert_eq!(*store.try_get_if("a", any, made).unwrap(), "x!");
        assert_eq!(store.try_get_if("b", any, || Err("no")), Err("no"));
        assert_eq!(*get(&store, "b", "y"), "y");
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

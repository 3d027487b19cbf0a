//! The authenticators that a configuration has.

use std::{collections::BTreeMap, sync::Arc};

use super::Authenticator;
use crate::settings::ComponentId;

/// Authenticators by the ids of their extensions.
#[derive(Debug, Clone, Default)]
pub struct Authenticators(BTreeMap<ComponentId, Arc<dyn Authenticator>>);

impl Authenticators {
    /// The authenticator of an extension.
    pub fn get(&self, id: &ComponentId) -> Option<&Arc<dyn Authenticator>> {
        self.0.get(id)
    }

    /// Whether those with these ids are the same as in `other`, not only equal.
    pub fn are_those_of<'i>(
        &self,
        other: &Self,
        ids: impl IntoIterator<Item = &'i ComponentId>,
    ) -> bool {
        let address = |of: &Self, id| of.get(id).map(|of| Arc::as_ptr(of).cast::<()>());
        let mut ids = ids.into_iter();
        ids.all(|id| address(self, id) == address(other, id))
    }
}

impl FromIterator<(ComponentId, Arc<dyn Authenticator>)> for Authenticators {
    fn from_iter<I: IntoIterator<Item = (ComponentId, Arc<dyn Authenticator>)>>(of: I) -> Self {
        Self(of.into_iter().collect())
    }
}

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

    /// Those with these ids.
    pub fn used<'i>(&self, ids: impl IntoIterator<Item = &'i ComponentId>) -> UsedAuthenticators {
        UsedAuthenticators(ids.into_iter().map(|id| self.get(id).cloned()).collect())
    }
}

/// The authenticators that a component uses. Two lists are equal if they have the same ones, not
/// only equal ones: another one may know other credentials.
#[derive(Debug, Clone)]
pub struct UsedAuthenticators(Vec<Option<Arc<dyn Authenticator>>>);

impl PartialEq for UsedAuthenticators {
    fn eq(&self, other: &Self) -> bool {
        let address = |of: &Option<Arc<dyn Authenticator>>| {
            let of = of.as_ref();
            of.map(|of| Arc::as_ptr(of).cast::<()>())
        };
        let (one, other) = (self.0.iter(), other.0.iter());
        one.map(address).eq(other.map(address))
    }
}

impl FromIterator<(ComponentId, Arc<dyn Authenticator>)> for Authenticators {
    fn from_iter<I: IntoIterator<Item = (ComponentId, Arc<dyn Authenticator>)>>(of: I) -> Self {
        Self(of.into_iter().collect())
    }
}

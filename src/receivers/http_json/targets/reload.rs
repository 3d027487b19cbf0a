//! Whether two specs ask a target in the same way.

use std::sync::Arc;

use crate::{
    client::auth::Authenticator,
    receivers::http_json::{
        config::TargetConfig,
        spec::{ReceiverSpec, TargetSpec},
    },
};

impl TargetSpec {
    /// Whether the target gets the same requests under both, so that answers are still valid.
    pub(crate) fn asks_like(&self, other: &Self) -> bool {
        let (now, before) = (&self.receiver, &other.receiver);
        now.asks_like(before) && now.authenticates_like(before, &self.config, &other.config)
    }
}

impl ReceiverSpec {
    /// Whether a node gets the same requests under both: the same headers and credentials.
    fn asks_like(&self, other: &Self) -> bool {
        let (now, before) = (&self.shared, &other.shared);
        now.headers == before.headers
            && now.parameters == before.parameters
            && is_same(now.auth.as_ref(), before.auth.as_ref())
    }

    /// Whether a target with the settings `now` authenticates as it did with those of `before`.
    fn authenticates_like(&self, other: &Self, now: &TargetConfig, before: &TargetConfig) -> bool {
        let id = now
            .auth
            .iter()
            .filter_map(|auth| auth.authenticator.as_ref());
        let (own, others) = (&self.context.authenticators, &other.context.authenticators);
        now.auth == before.auth && own.are_those_of(others, id)
    }
}

/// Whether both have the same authenticator. A new spec has the authenticator of the old one where
/// its settings are the same.
fn is_same(now: Option<&Arc<dyn Authenticator>>, before: Option<&Arc<dyn Authenticator>>) -> bool {
    match (now, before) {
        (Some(now), Some(before)) => std::ptr::addr_eq(Arc::as_ptr(now), Arc::as_ptr(before)),
        (now, before) => now.is_none() && before.is_none(),
    }
}

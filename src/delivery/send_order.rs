//! The order in which the deliveries of an exporter send: each starts after those before it have
//! ended. A reload replaces a delivery by another one, and a server that accepts the samples of a
//! series only in their order would refuse what the old one still holds.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// The deliveries to one destination, in the order in which they send.
#[derive(Debug, Default)]
pub struct SendOrder(Mutex<Vec<CancellationToken>>);

/// The turn of one delivery. It keeps the order alive for those that follow.
#[derive(Debug)]
pub(super) struct SendTurn {
    /// Cancelled at the end of each delivery before this one.
    before: Vec<CancellationToken>,
    _order: Arc<SendOrder>,
}

impl SendOrder {
    /// Adds a delivery, which cancels `ended` at its end, also if it is dropped before it sends
    /// anything.
    pub(super) fn join(self: Arc<Self>, ended: &CancellationToken) -> SendTurn {
        // The list is consistent at every moment.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|delivery| !delivery.is_cancelled());
        let before = all.clone();
        all.push(ended.clone());
        drop(all);
        SendTurn {
            before,
            _order: self,
        }
    }
}

impl SendTurn {
    /// Waits until all deliveries before this one have ended.
    pub(super) async fn comes(&self) {
        for delivery in &self.before {
            delivery.cancelled().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_delivery_waits_for_all_that_came_before_it() {
        let order = Arc::new(SendOrder::default());
        let ended = [(); 3].map(|()| CancellationToken::new());
        let turns = ended.each_ref().map(|ended| Arc::clone(&order).join(ended));
        let comes = |number: usize| turns[number].comes().now_or_never().is_some();
        assert_eq!([comes(0), comes(1), comes(2)], [true, false, false]);
        // The second one is dropped, for example because its configuration cannot run.
        ended[1].cancel();
        assert!(!comes(2), "the first one still sends");
        ended[0].cancel();
        assert!(comes(2));
    }
}

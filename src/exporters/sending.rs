//! What all exporters that send have in common: an encoder of their own, and behind it a
//! [`Delivery`], which they leave as any other.

use std::any::Any;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    delivery::{Account, Delivery},
    pipeline::{Exporter, Snapshot, Target},
};

/// Turns snapshots into messages.
pub(super) trait Encoder: Any + Send + Sync {
    /// Hands the messages of a snapshot to `delivery`.
    fn encode(&self, snapshot: &Snapshot<'_>, delivery: &Delivery);

    /// Forgets a target. Most keep nothing of one beyond what is on its way.
    fn forget(&self, _target: &Target, _delivery: &Delivery) {}

    /// The collector is about to stop, or the exporter leaves: targets that it forgets from now on
    /// have not ended.
    fn closing(&self) {}
}

/// An exporter that sends.
pub(super) struct Sending {
    encoder: Box<dyn Encoder>,
    delivery: Delivery,
}

impl Sending {
    /// Sends what `encoder` makes.
    pub(super) fn new(encoder: impl Encoder, delivery: Delivery) -> Self {
        Self {
            encoder: Box::new(encoder),
            delivery,
        }
    }

    /// The exporter, if it is one that sends.
    pub(super) fn of(exporter: &dyn Exporter) -> Option<&Self> {
        let exporter: &dyn Any = exporter;
        exporter.downcast_ref()
    }

    /// The account in which it is counted.
    pub(super) fn account(&self) -> &Account {
        self.delivery.account()
    }

    /// What delivers its messages.
    pub(super) fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Its encoder, if it is of this kind.
    pub(super) fn encoder<E: Encoder>(&self) -> Option<&E> {
        let encoder: &dyn Any = &*self.encoder;
        encoder.downcast_ref()
    }
}

#[async_trait]
impl Exporter for Sending {
    fn export(&self, snapshot: &Snapshot<'_>) {
        self.encoder.encode(snapshot, &self.delivery);
    }

    fn forget(&self, target: &Target) {
        self.encoder.forget(target, &self.delivery);
    }

    fn closing(&self) {
        self.encoder.closing();
    }

    async fn emptied(&self) {
        self.delivery.emptied().await;
    }

    async fn drain(&self, deadline: Instant) {
        self.encoder.closing();
        self.delivery.drain(deadline).await;
    }
}

//! Receivers: the sources of polls. This file is their register.

mod contract;
pub mod http_json;
mod network;

use std::sync::Arc;

pub use contract::{
    BuiltReceiver, NextReceiver, PolledOnce, Receiver, ReceiverChange, ReceiverConfig,
    ReceiverContext, ReceiverType,
};
pub use http_json::{NO_SAVED_BODY, SavedAnswer, SavedPage, sample, saved_pages};
pub use network::{Answering, Network};

use crate::settings::TargetUrl;

/// Reads a header `Link`, for `fuzz/`.
pub(crate) fn fuzz_link(data: &[u8]) {
    http_json::fuzz_link(data);
}

/// All types of receivers.
pub const TYPES: &[ReceiverType] = &[http_json::PRESET_TYPE, http_json::TYPE];

/// The receiver that polls one URL, as `definition` says.
pub fn for_url(url: TargetUrl, definition: Option<&str>) -> Arc<dyn ReceiverConfig> {
    Arc::new(http_json::Config::for_url(url, definition))
}

//! `/api/v1/events`: what changes, as server-sent events.
//!
//! Nothing is kept for a client but the look that it saw last, which all clients share. A client
//! that reads slowly gets fewer events, each of which tells of more; one that does not read at all
//! is disconnected.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header::CACHE_CONTROL};
use tokio::time::sleep;

use crate::{
    http::{Body, Response},
    overview::{FleetSnapshot, Overview, changes},
};

/// So many clients listen at the same time; more are told to come again.
pub(super) const CLIENTS_MAX: usize = 50;

/// How often the fleet is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// The stream of events. The first one says how the fleet is.
pub(super) fn answer(overview: Arc<Overview>) -> Response {
    let events = stream::unfold(None, move |before: Option<Arc<FleetSnapshot>>| {
        let overview = Arc::clone(&overview);
        async move {
            if before.is_some() {
                sleep(EVERY).await;
            }
            let now = overview.snapshot();
            Some((event(before.as_deref(), &now), Some(now)))
        }
    });
    let response = Response::new("text/event-stream", Body::live(events));
    response.with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

/// One event; a comment where nothing changed, so that a connection that broke is noticed.
fn event(before: Option<&FleetSnapshot>, now: &FleetSnapshot) -> Bytes {
    let is_same = before.is_some_and(|before| std::ptr::eq(before, now));
    let changed = (!is_same).then(|| changes(before, now)).flatten();
    let told = changed.and_then(|event| serde_json::to_string(&event).ok());
    match told {
        // JSON has no line breaks but those that are escaped.
        Some(told) => format!("event: fleet\ndata: {told}\n\n").into(),
        None => Bytes::from_static(b":\n\n"),
    }
}

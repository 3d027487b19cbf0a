//! A body is mapped when it arrives. Neither its document nor its text waits for other endpoints.

use serde_json::json;

use super::*;
use crate::{
    pipeline::{Document, LARGE_BYTES, Reading},
    receivers::http_json::poll::places::Places,
};

/// A large document at `/fast` at once, and a small one at `/slow` after three seconds.
struct FastAndSlow;

#[async_trait]
impl Transport for FastAndSlow {
    async fn fetch(&self, request: &TransportRequest) -> Result<TransportResponse, TransportError> {
        let body = match request.url.path() {
            "/fast" => json!({ "v": vec![7; LARGE_BYTES] }).to_string(),
            _ => {
                sleep(Duration::from_secs(3)).await;
                json!({ "v": 8 }).to_string()
            }
        };
        Ok(TransportResponse {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            is_from_elsewhere: false,
            redirected_to: None,
            body: body.into(),
            codings: Codings::default(),
            share: None,
        })
    }
}

/// One reading a document: how many elements `v` has.
fn elements(_: &Definition, endpoint: usize, document: &Document<'_>) -> Readings {
    let elements = document.value["v"].as_array().map_or(1, Vec::len);
    Readings {
        values: vec![Reading {
            instrument: endpoint,
            attributes: Vec::new(),
            value: Number::Unsigned(elements as u64),
            time: None,
            histogram: None,
        }],
        ..Readings::default()
    }
}

/// A poller of `/fast` and `/slow`, and the memory of its large bodies.
fn poller_of_both() -> (TargetPoller, Arc<Allowance>) {
    let fleet = ReceiverResilience::new(lab::settings());
    let server = Arc::new(FastAndSlow);
    let mut poller = lab::before(&server, &fleet, 8, &["/fast", "/slow"]);
    let memory = Allowance::new(u64::MAX);
    for endpoint in &mut poller.endpoints {
        let clock = endpoint.shared.clock.clone();
        endpoint.shared = Arc::new(ReceiverParts {
            headers: HeaderMap::new(),
            parameters: Arc::default(),
            auth: None,
            body_limit_bytes: 1024 * 1024,
            memory: Arc::clone(&memory),
            kept: Allowance::new(0),
            places: Arc::new(Places::new(8)),
            clock,
            telemetry: Arc::clone(&endpoint.shared.telemetry),
            mappers: BodyMappers::default(),
            keeps_text: false,
        });
        let mapper = Arc::make_mut(&mut endpoint.mapper);
        mapper.reader = Arc::new(Reader::json(1024 * 1024));
        Arc::make_mut(&mut endpoint.mapper).mapping.whole = elements;
    }
    (poller, memory)
}

#[tokio::test(start_paused = true)]
async fn a_fast_endpoint_gives_up_its_document_and_text_before_a_slow_one_has_answered() {
    let (poller, memory) = poller_of_both();
    let mut poll = Box::pin(poller.poll_all());
    let early = timeout(Duration::from_secs(1), &mut poll).await;
    assert!(early.is_err(), "the slow endpoint has not answered yet");
    assert_eq!(memory.taken(), 0, "the fast one holds readings alone");
    let mut poll = poll.await;
    assert_eq!(memory.taken(), 0);
    let values: Vec<_> = poll
        .endpoints
        .iter_mut()
        .map(|polled| {
            let body = polled.body_mut().unwrap();
            assert!(body.raw.is_empty() && body.size > 0);
            let readings = body.take_readings().unwrap();
            readings.values[0].value
        })
        .collect();
    let expected = [LARGE_BYTES as u64, 1].map(Number::Unsigned);
    assert_eq!(values, expected, "both are part of one poll");
    let last = poll.endpoints[1].body().unwrap().received;
    assert_eq!(poll.time(), last, "and have the time of its last answer");
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_mapped_again_when_it_still_holds() {
    let lab = lab::ScriptedServer::new(|_| lab::Reply::Tagged("\"1\""));
    let mut poller = lab::alone(&lab, lab::settings(), &["/a"]);
    for endpoint in &mut poller.endpoints {
        Arc::make_mut(&mut endpoint.mapper).mapping.whole = elements;
    }
    let first = poller.poll_all().await;
    assert_eq!(first.endpoints[0].outcome_name(), Some("fresh"));
    let mut second = poller.poll_all().await;
    assert_eq!(second.endpoints[0].outcome_name(), Some("not_modified"));
    let readings = second.endpoints[0].body_mut().unwrap().take_readings();
    assert_eq!(readings.unwrap().values.len(), 1);
}

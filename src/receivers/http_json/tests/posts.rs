//! A `POST` may have done something: it is sent again only where that cannot be, or where the
//! definition says that it only reads.

use super::{
    lab::{self, Reply, ScriptedServer},
    *,
};

const PATHS: [&str; 1] = ["/a"];

/// A poller whose one endpoint is this.
fn poller(server: &Arc<ScriptedServer>, endpoint: &str) -> TargetPoller {
    let fleet = ReceiverResilience::new(lab::never_open());
    let mut poller = lab::before(server, &fleet, 8, &PATHS);
    let text = format!(
        "endpoints: {{a: {endpoint}}}\nmetrics: [{{name: a, instrument: gauge, value: $.a}}]"
    );
    let definition = definition::from_text("a", "a.yaml", &text).unwrap();
    for (poller, endpoint) in poller.endpoints.iter_mut().zip(&definition.endpoints) {
        poller.values.request = Arc::clone(&endpoint.request);
    }
    poller
}

#[tokio::test(start_paused = true)]
async fn a_post_is_sent_again_only_where_nothing_can_have_been_done() {
    const GET: &str = "{path: /a}";
    const POST: &str = "{path: /a, method: POST, body: {json: {b: 1}}}";
    const READS: &str = "{path: /a, method: POST, idempotent: true}";
    let moment = Duration::from_millis(1);
    for (endpoint, reply, is_again) in [
        (GET, Reply::Status(503, None), true),
        (GET, Reply::Cut(moment), true),
        (POST, Reply::Refuse, true),
        (POST, Reply::Cut(moment), false),
        (POST, Reply::Hang, false),
        (POST, Reply::Status(503, None), false),
        (READS, Reply::Refuse, true),
        (READS, Reply::Cut(moment), true),
        (READS, Reply::Status(503, None), false),
        (READS, Reply::Status(503, Some(1)), false),
    ] {
        let server = ScriptedServer::new(move |_| reply);
        let poll = poller(&server, endpoint).poll_all().await;
        assert!(poll.endpoints[0].failure().is_some());
        assert_eq!(server.count() > 1, is_again, "{endpoint} {reply:?}");
        assert_eq!(server.count(), poll.endpoints[0].attempts as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn an_accepted_status_is_an_answer_that_says_what_it_is() {
    let server = ScriptedServer::new(|_| Reply::StatusWithBody(503));
    let accepting = poller(&server, "{path: /a, accept_status: [200, 503]}");
    for _ in 0..20 {
        let poll = accepting.poll_all().await;
        let [polled] = poll.endpoints.as_slice() else {
            panic!("one endpoint");
        };
        assert_eq!(polled.outcome_name(), Some("fresh"));
        assert_eq!(polled.error_type(), Some(ErrorType::Status(503)));
    }
    assert_eq!(server.count(), 20, "no retry, and no breaker");
    let strict = poller(&server, "{path: /a, accept_status: [200]}");
    assert!(strict.poll_all().await.endpoints[0].failure().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_the_target_lacks_costs_that_request() {
    let server = ScriptedServer::new(|_| Reply::Good);
    let poll = poller(&server, "{path: '/${target:zone}'}")
        .poll_all()
        .await;
    let failure = poll.endpoints[0].failure().unwrap();
    assert_eq!(failure.error_type, ErrorType::Request);
    assert_eq!(
        failure.message,
        "the request cannot be made: the target has no label `zone`, which the request needs"
    );
    assert_eq!(server.count(), 0);
}

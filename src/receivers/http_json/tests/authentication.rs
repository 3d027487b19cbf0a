//! Credentials take time to arrive, may be refused, and say nothing of the node.

use ::http::{HeaderValue, header::AUTHORIZATION};

use super::{lab, *};
use crate::client::auth::{
    Acceptance, AuthError, Credentials, HeaderCredentials, OriginAuth, Refusal, ServerAuthenticator,
};

/// A node that accepts one token.
struct Guarded {
    token: &'static str,
    requests: AtomicUsize,
}

#[async_trait]
impl Transport for Guarded {
    async fn fetch(&self, request: &TransportRequest) -> Result<TransportResponse, TransportError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = request.headers.get(AUTHORIZATION);
        Ok(match sent.is_some_and(|sent| sent == self.token) {
            true => answer(200, "{}"),
            false => answer(401, ""),
        })
    }
}

/// Gives out tokens, one after the other, each after a delay.
#[derive(Debug)]
struct Tokens {
    delay: Duration,
    tokens: &'static [&'static str],
    given: AtomicUsize,
    helped: AtomicUsize,
}

impl Tokens {
    async fn next(&self) -> Result<Arc<dyn Credentials>, AuthError> {
        sleep(self.delay).await;
        let given = self.given.fetch_add(1, Ordering::Relaxed);
        let token = self.tokens.get(given).ok_or(AuthError::Late(self.delay))?;
        let value = HeaderValue::from_static(token);
        Ok(Arc::new(HeaderCredentials::new(AUTHORIZATION, value)))
    }
}

#[async_trait]
impl ServerAuthenticator for Tokens {
    async fn credentials(&self) -> Result<Arc<dyn Credentials>, AuthError> {
        self.next().await
    }

    async fn refused(
        &self,
        _used: &Arc<dyn Credentials>,
        refusal: Refusal<'_>,
    ) -> Result<Option<Arc<dyn Credentials>>, AuthError> {
        assert_eq!(refusal.status, StatusCode::UNAUTHORIZED);
        self.next().await.map(Some)
    }

    fn accepted(&self, _used: &Arc<dyn Credentials>, acceptance: Acceptance<'_>) {
        let is_repeat = usize::from(acceptance.is_repeat);
        self.helped.fetch_add(is_repeat, Ordering::Relaxed);
    }
}

struct Stand {
    node: Arc<Guarded>,
    tokens: Arc<Tokens>,
    poller: TargetPoller,
}

/// A poller of a node that accepts `right`.
fn stand(delay: Duration, tokens: &'static [&'static str]) -> Stand {
    let node = Arc::new(Guarded {
        token: "right",
        requests: AtomicUsize::new(0),
    });
    let tokens = Arc::new(Tokens {
        delay,
        tokens,
        given: AtomicUsize::new(0),
        helped: AtomicUsize::new(0),
    });
    let fleet = ReceiverResilience::new(lab::settings());
    let mut poller = lab::before(&node, &fleet, 8, &["/a"]);
    let auth = OriginAuth::of(
        Arc::clone(&tokens) as Arc<dyn ServerAuthenticator>,
        &"http://node".parse().unwrap(),
    );
    for endpoint in &mut poller.endpoints {
        endpoint.sites = endpoint.sites.map(|site| EndpointAddress {
            url: site.url.clone(),
            auth: Some(auth.clone()),
            transport: Arc::clone(&site.transport),
        });
    }
    Stand {
        node,
        tokens,
        poller,
    }
}

async fn error_of(poller: &TargetPoller) -> Option<ErrorType> {
    let poll = poller.poll_all().await;
    poll.endpoints[0]
        .failure()
        .map(|failure| failure.error_type)
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_sent_once_more_with_other_credentials() {
    let moment = Duration::from_millis(1);
    for (given, error, requests, helped) in [
        (&["right"][..], None, 1, 0),
        (&["old", "right"], None, 2, 1),
        (
            &["old", "wrong", "right"],
            Some(ErrorType::Status(401)),
            2,
            0,
        ),
        // There is no other one: the refusal of the node is the smaller part of the truth.
        (&["old"], Some(ErrorType::Credentials), 1, 0),
    ] {
        let stand = stand(moment, given);
        assert_eq!(error_of(&stand.poller).await, error, "{given:?}");
        assert_eq!(stand.node.requests.load(Ordering::Relaxed), requests);
        assert_eq!(stand.tokens.helped.load(Ordering::Relaxed), helped);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_credentials_open_no_breaker_and_take_no_time_of_the_node() {
    // More than half of the timeout.
    let stand = stand(TIMEOUT * 3 / 5, &[]);
    for _ in 0..50 {
        assert_eq!(error_of(&stand.poller).await, Some(ErrorType::Credentials));
        sleep(INTERVAL).await;
    }
    assert_eq!(stand.node.requests.load(Ordering::Relaxed), 0);
    let slow = self::stand(TIMEOUT * 2 / 5, &["right"]);
    assert_eq!(error_of(&slow.poller).await, None);
}

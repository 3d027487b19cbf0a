//! Requests for each element of another endpoint's answer.

use super::*;

type Script = Box<dyn Fn(&str) -> Said + Send + Sync>;

/// The reaction to a request.
#[derive(Clone, Copy)]
enum Said {
    Body(&'static str),
    Status(u16),
    Hang,
}

/// A server that follows a script.
struct ElementServer {
    script: Mutex<Script>,
    asked: Mutex<Vec<String>>,
    in_flight: AtomicUsize,
    most: AtomicUsize,
}

impl ElementServer {
    fn new(script: impl Fn(&str) -> Said + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(Box::new(script)),
            asked: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }

    fn now(&self, script: impl Fn(&str) -> Said + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
        self.asked.lock().unwrap().clear();
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Transport for ElementServer {
    async fn fetch(&self, request: &TransportRequest) -> Result<TransportResponse, TransportError> {
        let path = request.url.path().to_owned();
        let said = (self.script.lock().unwrap())(&path);
        self.asked.lock().unwrap().push(path);
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        sleep(Duration::from_millis(1)).await;
        let answered = match said {
            Said::Body(body) => answer(200, body),
            Said::Status(status) => answer(status, ""),
            Said::Hang => std::future::pending().await,
        };
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        Ok(answered)
    }
}

/// A poller of `list`, and of `item` for each of its elements.
fn poller_of(server: &Arc<ElementServer>) -> TargetPoller {
    let fleet = ReceiverResilience::new(single_attempts());
    let mut poller = lab::before(server, &fleet, 100, &["/list", "/item"]);
    let text = "endpoints:
  list: {path: /list}
  item: {path: '/item/${i:$}', for_each: {endpoint: list, path: $, as: i, max: 8}}
metrics:
  - {name: a, instrument: gauge, endpoint: item, value: $.a, attributes: {i: 'i:$'}}
";
    let definition = definition::from_text("a", "a.yaml", text).unwrap();
    for (poller, endpoint) in poller.endpoints.iter_mut().zip(&definition.endpoints) {
        poller.values.request = Arc::clone(&endpoint.request);
        poller.origin = endpoint
            .derivation
            .as_ref()
            .map(|of| Box::new(Origin::new(of)));
        Arc::make_mut(&mut poller.mapper).definition = Arc::clone(&definition);
        poller.sites = poller.sites.map(|site| EndpointAddress {
            url: match endpoint.request.fixed() {
                Some(_) => site.url.clone(),
                None => EndpointUrl::Below("http://node".into()),
            },
            transport: Arc::clone(&site.transport),
            auth: None,
        });
    }
    poller
}

fn listed(path: &str, list: &'static str) -> Said {
    match path {
        "/list" => Said::Body(list),
        _ => Said::Body("{}"),
    }
}

fn failure(poll: &Poll) -> (ErrorType, &str) {
    let failure = poll.endpoints[1].failure().unwrap();
    (failure.error_type, &failure.message)
}

#[tokio::test(start_paused = true)]
async fn the_list_comes_first_and_few_requests_are_made_at_once() {
    let server = ElementServer::new(|path| listed(path, "[1, 2, 3, 4, 5, \"a/b\"]"));
    let poll = poller_of(&server).poll_all().await;
    let asked = server.asked();
    assert_eq!(asked.len(), 7, "{asked:?}");
    assert_eq!(
        (asked[0].as_str(), asked[6].as_str()),
        ("/list", "/item/a%2Fb")
    );
    assert_eq!(server.most.load(Ordering::Relaxed), 4);
    assert!(poll.endpoints[1].body().unwrap().has_parts());
}

#[tokio::test(start_paused = true)]
async fn more_elements_than_allowed_are_counted_and_no_elements_are_a_fact() {
    let server = ElementServer::new(|path| listed(path, "[1,2,3,4,5,6,7,8,9,10]"));
    let poller = poller_of(&server);
    let mut poll = poller.poll_all().await;
    assert_eq!(server.asked().len(), 9);
    let readings = poll.endpoints[1]
        .body_mut()
        .unwrap()
        .take_readings()
        .unwrap();
    let problem = &readings.problems[0];
    assert_eq!((problem.reason.name(), problem.count), ("max_requests", 2));
    server.now(|path| listed(path, "[]"));
    let poll = poller.poll_all().await;
    assert_eq!(server.asked(), ["/list"]);
    assert_eq!(poll.endpoints[1].outcome_name(), Some("fresh"));
    server.now(|path| listed(path, "null"));
    let poll = poller.poll_all().await;
    let expected =
        "not polled: the path of its `for_each` leads to nothing in the answer ($: it is null)";
    assert_eq!(failure(&poll), (ErrorType::Parent, expected));
}

#[tokio::test(start_paused = true)]
async fn without_a_list_nothing_is_sent() {
    let server = ElementServer::new(|path| listed(path, "[1]"));
    let poller = poller_of(&server);
    poller.poll_all().await;
    server.now(|_| Said::Status(404));
    let poll = poller.poll_all().await;
    assert_eq!(server.asked(), ["/list"]);
    assert_eq!(failure(&poll).0, ErrorType::Parent);
    server.now(|path| listed(path, "[2]"));
    poller.poll_all().await;
    server.now(|path| listed(path, "[3]"));
    let poll = poller.poll(&[false, true], 0, None).await;
    assert_eq!(server.asked(), ["/item/2"], "the last list counts");
    assert!(poll.endpoints[1].body().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fails_costs_itself_and_silence_ends_the_round() {
    let server = ElementServer::new(|path| match path {
        "/item/2" => Said::Status(500),
        path => listed(path, "[1, 2, 3]"),
    });
    let poller = poller_of(&server);
    let mut poll = poller.poll_all().await;
    let readings = poll.endpoints[1]
        .body_mut()
        .unwrap()
        .take_readings()
        .unwrap();
    let problem = &readings.problems[0];
    assert_eq!((problem.reason.name(), problem.count), ("request", 1));
    assert_eq!(problem.detail, "i `1`: answered with status 500");
    server.now(|path| match path {
        "/list" => Said::Body("[1, 2, 3, 4, 5, 6, 7, 8]"),
        _ => Said::Hang,
    });
    let poll = poller.poll_all().await;
    assert_eq!(failure(&poll).0, ErrorType::Timeout);
    assert_eq!(server.asked().len(), 5, "four at once, and then no more");
}

#[tokio::test(start_paused = true)]
async fn requests_are_made_one_by_one_until_the_host_survives_them() {
    let server = ElementServer::new(|path| listed(path, "[1, 2, 3, 4]"));
    let poller = poller_of(&server);
    poller.host.set_caution(Caution::new(2));
    poller.poll_all().await;
    assert_eq!(server.most.load(Ordering::Relaxed), 1);
    assert_eq!(server.asked()[0], "/list");
    poller.poll_all().await;
    assert_eq!(server.most.load(Ordering::Relaxed), 4);
}

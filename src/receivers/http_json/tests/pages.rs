//! The pages of an endpoint, which are one poll of it.

use ::http::header;

use super::*;

type Script = Box<dyn Fn(&str, usize) -> Paged + Send + Sync>;

/// The reaction to the request for a page.
enum Paged {
    Body(&'static str),
    Linked(String),
    After(Duration, String),
    Status(u16),
}

/// A server of pages, which follows a script: by path with query, and how many requests came before.
struct PagedServer {
    script: Script,
    asked: Mutex<Vec<String>>,
}

impl PagedServer {
    fn new(script: impl Fn(&str, usize) -> Paged + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Transport for PagedServer {
    async fn fetch(&self, request: &TransportRequest) -> Result<TransportResponse, TransportError> {
        let query = request.url.query().map(|query| format!("?{query}"));
        let path = format!("{}{}", request.url.path(), query.unwrap_or_default());
        let before = self.asked().len();
        let paged = (self.script)(&path, before);
        self.asked.lock().unwrap().push(path);
        Ok(match paged {
            Paged::Body(body) => answer(200, body),
            Paged::Status(status) => answer(status, ""),
            Paged::Linked(link) => {
                let mut answer = answer(200, "[1]");
                answer.headers.insert(header::LINK, link.parse().unwrap());
                answer
            }
            Paged::After(after, next) => {
                sleep(after).await;
                let mut answer = answer(200, "");
                answer.body = format!("{{\"next\": \"{next}\"}}").into();
                answer
            }
        })
    }
}

fn poller_of(server: &Arc<PagedServer>, pages: &str) -> TargetPoller {
    let fleet = ReceiverResilience::new(lab::settings());
    let mut poller = lab::before(server, &fleet, 8, &["/a"]);
    let text = format!(
        "endpoints: {{a: {{path: /a, pages: {pages}}}}}\n\
         metrics: [{{name: a, instrument: gauge, value: $.a}}]"
    );
    let definition = definition::from_text("a", "a.yaml", &text).unwrap();
    for endpoint in &mut poller.endpoints {
        endpoint.pages = definition.endpoints[0].pages.clone();
    }
    poller
}

fn failure(poll: &Poll) -> (ErrorType, &str) {
    let failure = poll.endpoints[0].failure().unwrap();
    (failure.error_type, &failure.message)
}

#[tokio::test(start_paused = true)]
async fn all_pages_are_one_body() {
    let server = PagedServer::new(|path, _| match path {
        "/a" => Paged::Linked("</a?p=2>; rel=next".to_owned()),
        _ => Paged::Body("[2]"),
    });
    let poll = poller_of(&server, "{link_header: true}").poll_all().await;
    assert_eq!(server.asked(), ["/a", "/a?p=2"]);
    let polled = &poll.endpoints[0];
    let body = polled.body().unwrap();
    assert_eq!((polled.attempts, body.size), (1, 6));
    let mut documents = Vec::new();
    assert!(body.for_each_part(|part| documents.push(part.value.clone())));
    assert_eq!(documents, [serde_json::json!([1]), serde_json::json!([2])]);
    let kept = body.to_keep().unwrap();
    assert!(kept.has_parts(), "who reads what was kept reads all of it");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_fails_the_poll_and_is_asked_for_again_from_the_first_one() {
    let server = PagedServer::new(|path, before| match (path, before) {
        ("/a", _) => Paged::Body(r#"{"next": "/a?p=2"}"#),
        (_, 1) => Paged::Status(503),
        _ => Paged::Body("{}"),
    });
    let poller = poller_of(&server, "{next: $.next}");
    let poll = poller.poll_all().await;
    assert_eq!(server.asked(), ["/a", "/a?p=2", "/a", "/a?p=2"]);
    assert!(poll.endpoints[0].body().is_some());
    let server = PagedServer::new(|path, _| match path {
        "/a" => Paged::Body(r#"{"next": "/a?p=2"}"#),
        _ => Paged::Status(404),
    });
    let poll = poller_of(&server, "{next: $.next}").poll_all().await;
    let expected = (ErrorType::Status(404), "page 2: answered with status 404");
    assert_eq!(failure(&poll), expected);
}

#[tokio::test(start_paused = true)]
async fn no_page_leads_elsewhere_or_back() {
    for (next, expected) in [
        (
            "https://other/a",
            "page 1 leads to another origin, https://other/a: ",
        ),
        ("/a", "page 1 leads back to a page that was read before"),
    ] {
        let server = PagedServer::new(move |_, _| Paged::After(Duration::ZERO, next.to_owned()));
        let poll = poller_of(&server, "{next: $.next}").poll_all().await;
        let (error_type, message) = failure(&poll);
        assert_eq!(error_type, ErrorType::Pages);
        assert!(message.starts_with(expected), "{message}");
        assert_eq!(server.asked(), ["/a"], "it is not asked again");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_does_not_know_the_parameter_is_noticed() {
    let server = PagedServer::new(|_, _| Paged::Body("[1, 2]"));
    let pages = "{parameter: page, until_empty: $}";
    let poll = poller_of(&server, pages).poll_all().await;
    assert!(
        failure(&poll)
            .1
            .contains("does the API know the parameter `page`?")
    );
    assert_eq!(server.asked(), ["/a?page=1", "/a?page=2"]);
}

#[tokio::test(start_paused = true)]
async fn pages_end_with_their_poll_and_say_nothing_of_the_host() {
    let server = PagedServer::new(|_, before| {
        Paged::After(Duration::from_secs(1), format!("/a?p={before}"))
    });
    let poller = poller_of(&server, "{next: $.next, max: 1000}");
    for _ in 0..5 {
        let started = Instant::now();
        let poll = poller.poll_all().await;
        let expected = "the time of the poll was over after 13 pages";
        assert_eq!(failure(&poll), (ErrorType::Pages, expected));
        assert!(started.elapsed() < INTERVAL);
    }
    assert_eq!(server.asked().len(), 5 * 14);
}

#[tokio::test(start_paused = true)]
async fn more_than_the_most_is_said_and_what_was_read_counts() {
    let server =
        PagedServer::new(|_, before| Paged::After(Duration::ZERO, format!("/a?p={before}")));
    let mut poll = poller_of(&server, "{next: $.next, max: 3}")
        .poll_all()
        .await;
    assert_eq!(server.asked().len(), 3);
    let readings = poll.endpoints[0]
        .body_mut()
        .unwrap()
        .take_readings()
        .unwrap();
    let problem = &readings.problems[0];
    assert_eq!(problem.reason.name(), "max_pages");
    assert_eq!(
        problem.detail,
        "there are more than 3 pages (`pages: {max}`)"
    );
}

#[tokio::test(start_paused = true)]
async fn all_pages_together_are_bounded() {
    let long: &'static str = Box::leak(format!("[\"{}\"]", "x".repeat(900)).into_boxed_str());
    let server = PagedServer::new(move |_, before| match before % 2 {
        0 => Paged::Body(long),
        _ => Paged::Body("[1]"),
    });
    let poll = poller_of(&server, "{parameter: p, until_empty: $}")
        .poll_all()
        .await;
    let (error_type, message) = failure(&poll);
    assert_eq!(error_type, ErrorType::TooLarge);
    assert!(message.contains("larger than 8192 bytes"), "{message}");
}

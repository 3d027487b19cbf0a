//! The loop around a provider, in virtual time.

use std::{collections::VecDeque, sync::Mutex};

use opentelemetry_sdk::metrics::SdkMeterProvider;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use super::*;
use crate::{
    discovery::{
        group::parse_json,
        status::{SourceStatus, SourceStatuses},
    },
    runtime::Clock,
    telemetry::Meter,
};

const INTERVAL: Duration = Duration::from_secs(60);

type ProviderAnswer = Result<Vec<SourcePart>, RefreshError>;

/// Answers what it was told to, and notes when; nothing more said, it hangs.
struct ScriptedProvider {
    answers: Mutex<VecDeque<ProviderAnswer>>,
    asked: mpsc::Sender<Instant>,
    wake: Arc<Notify>,
}

#[async_trait]
impl Provider for ScriptedProvider {
    async fn refresh(&mut self) -> ProviderAnswer {
        self.asked.try_send(Instant::now()).unwrap();
        let next = self.answers.lock().unwrap().pop_front();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    async fn woken(&mut self) {
        self.wake.notified().await;
    }
}

struct DiscoveryBench {
    status: Arc<SourceStatuses>,
    known: mpsc::Receiver<SourceSnapshot>,
    asked: mpsc::Receiver<Instant>,
    wake: Arc<Notify>,
    start: Instant,
}

fn lab(answers: impl IntoIterator<Item = ProviderAnswer>) -> DiscoveryBench {
    keeping(Duration::ZERO, answers)
}

/// A source whose empty lists are obeyed after `keep_on_empty`.
fn keeping(
    keep_on_empty: Duration,
    answers: impl IntoIterator<Item = ProviderAnswer>,
) -> DiscoveryBench {
    let (asked_sender, asked) = mpsc::channel(100);
    let (known_sender, known) = mpsc::channel(100);
    let wake = Arc::new(Notify::new());
    let meter = Meter::of(&SdkMeterProvider::default());
    let names = ["x_sd_configs/0".to_owned()].into_iter();
    let status = SourceStatuses::new("betanet", names, &Clock::System, &meter);
    let timing = SourceTiming {
        interval: INTERVAL,
        keep_on_empty,
    };
    let told = ScriptedProvider {
        answers: Mutex::new(answers.into_iter().collect()),
        asked: asked_sender,
        wake: Arc::clone(&wake),
    };
    let source = DiscoverySource::new(Box::new(told), timing, status.report(0, "x_sd_configs/0"));
    let run = source.run(move |known| known_sender.try_send(known).unwrap());
    let (tasks, _failures) = crate::runtime::Tasks::new();
    tasks.spawn("source", run);
    DiscoveryBench {
        status,
        known,
        asked,
        wake,
        start: Instant::now(),
    }
}

impl DiscoveryBench {
    /// After how many seconds it was asked next.
    async fn asked_after(&mut self) -> u64 {
        let asked = self.asked.recv().await.unwrap();
        (asked - self.start).as_secs()
    }

    /// The addresses that are known next.
    async fn addresses(&mut self) -> Vec<String> {
        let known = self.known.recv().await.unwrap();
        let groups = known.parts.iter().flat_map(|part| &part.groups);
        let addresses = groups.flat_map(|group| &group.addresses);
        addresses.map(|address| address.to_string()).collect()
    }

    fn status(&self) -> SourceStatus {
        self.status.sources().remove(0)
    }
}

fn part(key: &str, result: Result<&str, RefreshError>) -> SourcePart {
    SourcePart {
        key: key.to_owned(),
        result: result.map(|json| parse_json(json.as_bytes()).unwrap()),
    }
}

fn one(json: &str) -> ProviderAnswer {
    Ok(vec![part("a", Ok(json))])
}

fn broken() -> ProviderAnswer {
    Ok(vec![part("a", Err(RefreshError::ContentType))])
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_at_once_and_at_each_interval() {
    let mut lab = lab([one(r#"[{"targets": ["a:1"]}]"#), one("[]")]);
    assert_eq!(lab.addresses().await, ["a:1"]);
    assert_eq!(lab.addresses().await, [""; 0]);
    assert_eq!(lab.asked_after().await, 0);
    assert_eq!(lab.asked_after().await, 60);
    assert!(lab.status().last_success.is_some());
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_when_woken() {
    let mut lab = lab([one("[]"), one(r#"[{"targets": ["a:1"]}]"#)]);
    assert_eq!(lab.addresses().await, [""; 0]);
    lab.wake.notify_one();
    assert_eq!(lab.addresses().await, ["a:1"]);
    assert_eq!(lab.start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_last_list_and_is_tried_again_soon() {
    let list = r#"[{"targets": ["a:1"]}]"#;
    let mut lab = lab([one(list), broken(), broken(), broken(), one("[]")]);
    for _ in 0..4 {
        assert_eq!(lab.addresses().await, ["a:1"]);
    }
    let status = lab.status();
    assert_eq!(
        status.last_error.unwrap(),
        "a: the answer is no application/json"
    );
    assert_eq!(lab.addresses().await, [""; 0]);
    assert_eq!(lab.status().last_error, None);
    for seconds in [0, 60, 61, 63, 67] {
        assert_eq!(lab.asked_after().await, seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_never_heard_is_not_an_empty_list() {
    let answers = (0..9).map(|_| broken()).chain([one("[]")]);
    let mut lab = lab(answers);
    assert_eq!(lab.addresses().await, [""; 0]);
    // 1, 2, 4 … and no longer than the interval.
    for seconds in [0, 1, 3, 7, 15, 31, 63, 123, 183, 243] {
        assert_eq!(lab.asked_after().await, seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn each_part_fails_alone_and_one_that_is_gone_is_gone() {
    let (a, b) = (r#"[{"targets": ["a:1"]}, 7]"#, r#"[{"targets": ["b:1"]}]"#);
    let second = vec![part("a", Err(RefreshError::NotUtf8)), part("b", Ok("[]"))];
    let mut lab = lab([
        Ok(vec![part("a", Ok(a)), part("b", Ok(b))]),
        Ok(second),
        Ok(vec![part("b", Ok(b))]),
        Ok(Vec::new()),
    ]);
    assert_eq!(lab.addresses().await, ["a:1", "b:1"]);
    assert_eq!(lab.addresses().await, ["a:1"]);
    assert_eq!(lab.status().last_error.unwrap(), "a: not UTF-8 text");
    assert_eq!(lab.addresses().await, ["b:1"]);
    assert_eq!(lab.addresses().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_a_failure() {
    let mut lab = lab([one(r#"[{"targets": ["a:1"]}]"#)]);
    assert_eq!(lab.addresses().await, ["a:1"]);
    assert_eq!(lab.asked_after().await, 0);
    assert_eq!(lab.asked_after().await, 60);
    // One interval without an answer, then a second.
    assert_eq!(lab.asked_after().await, 121);
    assert_eq!(lab.status().last_error.unwrap(), "no answer within 60s");
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_obeyed_when_it_has_lasted() {
    let list = one(r#"[{"targets": ["a:1"]}]"#);
    let empty = (0..12).map(|_| one("[]"));
    let mut lab = keeping(INTERVAL, [list].into_iter().chain(empty));
    assert_eq!(lab.addresses().await, ["a:1"]);
    let mut kept = 0;
    while lab.addresses().await == ["a:1"] {
        kept += 1;
        assert!(lab.status().last_error.unwrap().contains("empty"));
    }
    assert_eq!(kept, 10, "answers that were not obeyed");
    assert_eq!(lab.status().last_error, None, "it is obeyed");
    for seconds in [0, 60, 61, 63, 67, 75, 83, 91, 99, 107, 115, 120, 180] {
        assert_eq!(lab.asked_after().await, seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_empty_for_a_moment_costs_nothing() {
    let (list, other) = (r#"[{"targets": ["a:1"]}]"#, r#"[{"targets": ["b:1"]}]"#);
    let answers = [one(list), one("[]"), one("[]"), one(other), one("[]")];
    let mut lab = keeping(INTERVAL, answers);
    for _ in 0..3 {
        assert_eq!(lab.addresses().await, ["a:1"]);
    }
    assert_eq!(lab.addresses().await, ["b:1"]);
    assert_eq!(lab.status().last_error, None);
    assert_eq!(lab.addresses().await, ["b:1"]);
    for seconds in [0, 60, 61, 63, 123] {
        assert_eq!(lab.asked_after().await, seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_begins_with_an_empty_list_is_asked_again_soon() {
    let list = r#"[{"targets": ["a:1"]}]"#;
    let mut lab = keeping(INTERVAL, [one("[]"), one("[]"), one("[]"), one(list)]);
    assert_eq!(lab.addresses().await, ["a:1"], "no empty list is published");
    for seconds in [0, 1, 3, 7] {
        assert_eq!(lab.asked_after().await, seconds);
    }
    let empty = (0..11).map(|_| one("[]"));
    let mut lab = keeping(INTERVAL, empty);
    assert_eq!(lab.addresses().await, [""; 0]);
    assert_eq!(lab.start.elapsed(), INTERVAL, "obeyed");
}

#[tokio::test(start_paused = true)]
async fn a_failure_does_not_say_that_a_list_is_still_empty() {
    let list = r#"[{"targets": ["a:1"]}]"#;
    let mut lab = keeping(
        Duration::from_secs(2),
        [
            one(list),
            one("[]"),
            one("[]"),
            broken(),
            one("[]"),
            one("[]"),
            one("[]"),
        ],
    );
    for _ in 0..6 {
        assert_eq!(lab.addresses().await, ["a:1"]);
    }
    assert_eq!(lab.addresses().await, [""; 0]);
    for seconds in [0, 60, 61, 62, 63, 64, 65] {
        assert_eq!(lab.asked_after().await, seconds);
    }
}

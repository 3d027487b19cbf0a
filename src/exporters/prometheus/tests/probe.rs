//! Tests of the answers of `/probe`.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use http::HeaderMap;

use super::*;
use crate::{
    exporters::prometheus::probe::Prober,
    http::Request,
    pipeline::{ErrorType, Probe, ProbeRefusal, ProbeRequest, Probed, ProbedEndpoint},
    settings::AllowList,
};

type StubAnswer = fn(ProbeRequest) -> Result<Probed, ProbeRefusal>;

struct StubProbe(StubAnswer);

impl Probe for StubProbe {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Probed, ProbeRefusal>> {
        let answer = self.0;
        async move { answer(request) }.boxed()
    }
}

/// A probe that is never called.
pub(super) fn never() -> Arc<dyn Probe> {
    Arc::new(StubProbe(|_| unreachable!()))
}

/// Status and text of the answer.
async fn ask(answer: StubAnswer, query: &str) -> (u16, String) {
    let prober = Prober {
        exporter: Arc::new(exporter()),
        probe: Arc::new(StubProbe(answer)),
        allow: Arc::new(AllowList::default()),
        longest: Duration::from_secs(30),
        timeout_offset: Duration::from_millis(500),
    };
    let request = Request {
        method: http::Method::GET,
        path: "/probe".to_owned(),
        query: query.to_owned(),
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
    };
    let response = prober.answer(request).await;
    let status = response.status.as_u16();
    (status, response.body.into_text())
}

fn half(_: ProbeRequest) -> Result<Probed, ProbeRefusal> {
    let endpoint = |failure, age| ProbedEndpoint { failure, age };
    let kept = Some(Duration::from_millis(2_500));
    Ok(Probed {
        time: std::time::UNIX_EPOCH,
        target: target("n", &[("region", "eu")]),
        duration: Duration::from_millis(250),
        endpoints: vec![
            endpoint(None, kept),
            endpoint(Some(ErrorType::Timeout), None),
        ],
        resource: fixture::resource(&[]),
        metrics: vec![gauges("betanet/network", &[("x", "a", 7)])],
        histograms: Vec::new(),
    })
}

#[tokio::test]
async fn an_answer_has_the_series_of_a_scrape_and_the_metrics_about_the_probe() {
    let (status, text) = ask(half, "target=n").await;
    assert_eq!(status, 200);
    parser::parse(&text);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines: Vec<_> = lines
        .filter(|line| !line.starts_with("target_info"))
        .collect();
    assert_eq!(
        lines,
        [
            r#"probe_duration_seconds 0.25"#,
            r#"probe_endpoint_age_seconds{endpoint="network",url_template="/network"} 2.5"#,
            r#"probe_endpoint_failure{endpoint="mixnodes",error_type="timeout",url_template="/mixnodes"} 1"#,
            r#"probe_endpoint_success{endpoint="mixnodes",url_template="/mixnodes"} 0"#,
            r#"probe_endpoint_success{endpoint="network",url_template="/network"} 1"#,
            r#"probe_success 1"#,
            r#"x{target="n",region="eu",id="a"} 7"#,
        ]
    );
    let (_, one) = ask(half, "target=n&name[]=probe_success").await;
    assert!(
        one.ends_with("\nprobe_success 1\n") && !one.contains("x{"),
        "{one}"
    );
}

#[tokio::test]
async fn a_failed_probe_is_an_answer_and_a_refused_one_an_error() {
    let failed = |_| {
        Ok(Probed {
            time: std::time::UNIX_EPOCH,
            target: target("n", &[]),
            duration: Duration::from_secs(9),
            endpoints: vec![
                ProbedEndpoint {
                    failure: Some(ErrorType::Status(503)),
                    age: None
                };
                2
            ],
            resource: fixture::resource(&[]),
            metrics: Vec::new(),
            histograms: Vec::new(),
        })
    };
    let (status, text) = ask(failed, "target=n").await;
    assert_eq!(status, 200);
    assert!(text.contains("\nprobe_success 0\n"), "{text}");
    let refused = |request: ProbeRequest| {
        Err(ProbeRefusal::NotAllowed {
            target: request.target,
        })
    };
    let (status, text) = ask(refused, "target=http://elsewhere:1").await;
    assert_eq!(status, 400);
    assert!(text.contains("`http://elsewhere:1`"), "{text}");
    assert_eq!(ask(failed, "definition=betanet").await.0, 400);
}

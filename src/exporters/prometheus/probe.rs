//! `/probe?target=…&definition=…`: reads one target for each request, as Prometheus' guide to
//! multi-target exporters says. A failed probe is an answer with `probe_success 0`.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use opentelemetry::{Key, KeyValue, Value};

use super::{
    NameFilter, Prometheus,
    config::Config,
    descriptor::{DescribedMetric, FamilyDescriptor},
    draft::{Draft, SeriesLabels, SeriesTimes, SourceDraft},
    labels::RenderedLabels,
    lock,
    name::{self, AggregationKind},
    negotiate,
    number::Number,
    rows::OWN,
    scrape::Scrape,
    store::SeriesStore,
};
use crate::{
    definition::Endpoint,
    http::{Body, Request, Response, Route},
    pipeline::{OtlpForm, Probe, ProbeRefusal, ProbeRequest, Probed, Snapshot},
    settings::AllowList,
    telemetry::{
        chain,
        names::{self, Metric},
    },
};

/// The header with the timeout of the scraper, in seconds.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// Answers probes.
#[derive(Clone)]
pub(super) struct Prober {
    pub(super) exporter: Arc<Prometheus>,
    pub(super) probe: Arc<dyn Probe>,
    pub(super) allow: Arc<AllowList>,
    /// The longest time for a probe if the scraper sets none: that of an answer.
    pub(super) longest: Duration,
    pub(super) timeout_offset: Duration,
}

/// The parameters of a request.
#[derive(Debug, Default, PartialEq, Eq)]
struct ProbeQuery {
    target: String,
    definition: Option<String>,
    names: BTreeSet<String>,
}

impl Prometheus {
    /// The route that answers probes.
    pub(super) fn probe_route(self: &Arc<Self>, config: &Config, probe: Arc<dyn Probe>) -> Route {
        let longest = config.write_timeout.get();
        let config = &config.probe;
        let prober = Prober {
            exporter: Arc::clone(self),
            probe,
            allow: Arc::new(config.allow.clone()),
            longest,
            timeout_offset: config.timeout_offset.get(),
        };
        let route = Route::get(&self.id, &config.path, move |request| {
            prober.clone().answer(request)
        });
        let route =
            route.described("?target=NAME&definition=NAME: the current values of one target");
        route.at_most(config.max_concurrent_probes)
    }
}

impl Prober {
    pub(super) async fn answer(self, request: Request) -> Response {
        let asked = ProbeQuery::read(&request.query).and_then(|query| {
            let asked = timeout(&request.headers)?;
            let timeout = asked.map_or(self.longest, |asked| asked.min(self.longest));
            Ok((query, less(timeout, self.timeout_offset)))
        });
        let (query, timeout) = match asked {
            Ok(asked) => asked,
            Err(mistake) => return self.refuse(StatusCode::BAD_REQUEST, mistake),
        };
        let order = ProbeRequest {
            target: query.target,
            definition: query.definition,
            timeout,
            allow: Arc::clone(&self.allow),
        };
        let probed = match self.probe.probe(order).await {
            Ok(probed) => probed,
            Err(refusal @ ProbeRefusal::Unable { .. }) => {
                let error = chain(&refusal);
                tracing::warn!(exporter = self.exporter.id, error, "cannot probe");
                return self.refuse(StatusCode::INTERNAL_SERVER_ERROR, refusal.to_string());
            }
            Err(refusal) => return self.refuse(StatusCode::BAD_REQUEST, refusal.to_string()),
        };
        self.count(if is_up(&probed) { "success" } else { "failure" });
        let negotiated = negotiate::negotiate(&request.headers, self.exporter.open_metrics);
        let wanted = NameFilter {
            form: negotiated.form,
            names: query.names,
        };
        negotiated.answer(Body::stream(self.exporter.text(&probed, wanted)))
    }

    fn refuse(&self, status: StatusCode, mistake: String) -> Response {
        self.count("refused");
        Response::text(mistake + "\n").with_status(status)
    }

    fn count(&self, result: &'static str) {
        let attributes = [
            KeyValue::new(names::EXPORTER, self.exporter.id.clone()),
            KeyValue::new(names::RESULT, result),
        ];
        self.exporter.probes.add(1, &attributes);
    }
}

impl Prometheus {
    /// The text of an answer, in pieces. Its series are those of a scrape. Nothing is stored.
    fn text(
        &self,
        probed: &Probed,
        wanted: NameFilter,
    ) -> impl Iterator<Item = Bytes> + Send + use<> {
        let store = Arc::<Mutex<SeriesStore>>::default();
        let endpoints = probed.endpoints.iter();
        let fresh: Vec<_> = endpoints.map(|of| of.failure.is_none()).collect();
        let snapshot = Snapshot {
            target: &probed.target,
            fresh: &fresh,
            lost: &[],
            is_refused: false,
            time: probed.time,
            starts: &(),
            resource: &probed.resource,
            metrics: &probed.metrics,
            histograms: &probed.histograms,
            exemplars: &[],
            otlp: OtlpForm::new(Vec::new),
        };
        let labels = lock(&store).labels(&probed.target, self.rules());
        let mut draft = own(probed);
        let dropped = self.state.renderer.render(&snapshot, &labels, &mut draft);
        let conflicts = lock(&store).replace(&snapshot, labels, &mut draft, Duration::MAX);
        for dropped in dropped.iter().chain(&conflicts) {
            self.note(dropped);
        }
        Scrape::new(&store, wanted)
    }
}

/// The metrics about the probe itself.
fn own(probed: &Probed) -> Draft {
    let mut whole = Draft::default();
    let draft = whole.source(OWN);
    let (success, duration) = (u64::from(is_up(probed)), probed.duration.as_secs_f64());
    sample(draft, &names::PROBE_SUCCESS, [], success);
    sample(draft, &names::PROBE_DURATION, [], duration);
    let endpoints = probed.target.definition.endpoints.iter();
    let endpoints = || {
        let endpoints = endpoints.clone().zip(&probed.endpoints);
        endpoints.map(|(endpoint, of)| (labels(endpoint), of))
    };
    for ([id, path], of) in endpoints() {
        let is_up = u64::from(of.failure.is_none());
        sample(draft, &names::PROBE_ENDPOINT_SUCCESS, [id, path], is_up);
    }
    for ([id, path], of) in endpoints() {
        if let Some(failure) = of.failure {
            let reason = (names::ERROR_TYPE, failure.name().into_owned());
            let of = [id, path, reason];
            sample(draft, &names::PROBE_ENDPOINT_FAILURE, of, 1_u64);
        }
    }
    for ([id, path], of) in endpoints() {
        if let Some(age) = of.age {
            let age = age.as_secs_f64();
            sample(draft, &names::PROBE_ENDPOINT_AGE, [id, path], age);
        }
    }
    whole
}

fn labels(endpoint: &Endpoint) -> [(&'static str, String); 2] {
    [
        (names::ENDPOINT, endpoint.id.to_string()),
        (names::URL_TEMPLATE, endpoint.path.to_string()),
    ]
}

fn sample<const N: usize>(
    draft: &mut SourceDraft,
    metric: &Metric,
    attributes: [(&'static str, String); N],
    value: impl Into<Number>,
) {
    let attributes = attributes.map(|(key, value)| (Key::from(key), Value::from(value)));
    let attributes = || attributes.iter().map(|(key, value)| (key, value));
    let mut labels = SeriesLabels {
        text: String::new(),
        is_complete: true,
    };
    RenderedLabels::default().write(&mut labels.text, 0, attributes, false);
    let described = DescribedMetric {
        name: metric.name,
        unit: metric.unit,
        help: metric.description,
        kind: AggregationKind::Gauge,
    };
    let family = FamilyDescriptor::new(name::scrape_name(metric), described);
    draft.family(0, &Arc::new(family));
    draft.sample(&labels, value, SeriesTimes::default());
}

/// Whether at least one endpoint gave a body, as in `betanet_up`.
fn is_up(probed: &Probed) -> bool {
    probed.endpoints.iter().any(|of| of.failure.is_none())
}

impl ProbeQuery {
    fn read(query: &str) -> Result<Self, String> {
        let mut read = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "target" => read.target = value.into_owned(),
                "definition" => read.definition = Some(value.into_owned()),
                "name[]" => drop(read.names.insert(value.into_owned())),
                unknown => {
                    return Err(format!(
                        "unknown parameter `{unknown}`; there is: definition, name[], target"
                    ));
                }
            }
        }
        match read.target.is_empty() {
            true => Err("the parameter `target` is missing: a name or a URL".to_owned()),
            false => Ok(read),
        }
    }
}

/// The timeout of the scraper, if it sends one.
fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, String> {
    let Some(asked) = headers.get(SCRAPE_TIMEOUT) else {
        return Ok(None);
    };
    let seconds = asked
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let asked = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let asked = asked.filter(|asked| !asked.is_zero());
    let mistake = || format!("{SCRAPE_TIMEOUT}: expected a number of seconds");
    asked.ok_or_else(mistake).map(Some)
}

/// The timeout without the time that the answer needs on its way. If nothing is left, the probe
/// still gets as much time as possible.
fn less(timeout: Duration, offset: Duration) -> Duration {
    let left = timeout.checked_sub(offset).filter(|left| !left.is_zero());
    left.unwrap_or(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_a_target_and_no_unknown_parameter() {
        let read =
            ProbeQuery::read("target=http%3A%2F%2Fa%3A1&definition=betanet&name[]=x&name[]=y");
        let names = BTreeSet::from(["x".to_owned(), "y".to_owned()]);
        let expected = ProbeQuery {
            target: "http://a:1".to_owned(),
            definition: Some("betanet".to_owned()),
            names,
        };
        assert_eq!(read, Ok(expected));
        for query in [
            "",
            "target=",
            "definition=betanet",
            "target=a&module=betanet",
        ] {
            assert!(ProbeQuery::read(query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_probe_takes_the_timeout_of_the_scraper_minus_the_offset() {
        let ask = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(SCRAPE_TIMEOUT, text.parse().unwrap());
            let asked = timeout(&headers)?;
            Ok::<_, String>(asked.map(|asked| less(asked, Duration::from_millis(500))))
        };
        for (text, milliseconds) in [
            ("10", 9_500),
            ("10.000000", 9_500),
            ("0.6", 100),
            ("0.4", 400),
        ] {
            let left = Duration::from_millis(milliseconds);
            assert_eq!(ask(text), Ok(Some(left)), "{text}");
        }
        for text in ["", "x", "0", "-1", "NaN", "inf", "1e300"] {
            assert!(ask(text).is_err(), "{text}");
        }
        assert_eq!(timeout(&HeaderMap::new()), Ok(None));
    }
}

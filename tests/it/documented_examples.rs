//! The examples of `docs/definitions.md` and `docs/cookbook.md`: a definition, a body for each of its
//! endpoints, and what a scrape shows. All of them run in one started collector, which is scraped
//! and pushes OTLP.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use betanet_collector::definition::{self, Definition};
use http::Response;
use tempfile::TempDir;

use crate::support::{
    PATIENCE,
    collector::Collector,
    eventually, free_port, get,
    scrape::{Sample, Scrape},
    server::Server,
    sink::{OtlpSink, Point, Value},
    source::root,
};

const DOCUMENTS: [&str; 2] = ["docs/definitions.md", "docs/cookbook.md"];

/// One example of a document.
struct Example {
    /// `definitions.md:12`.
    name: String,
    /// A definition, with endpoints.
    definition: String,
    /// One an endpoint, in the order of the file.
    bodies: Vec<String>,
    /// The lines of a scrape.
    series: Vec<String>,
}

/// A fenced block: the line it begins on, its language and its text.
struct Block {
    line: usize,
    language: String,
    text: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_open = false;
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(language) = text.strip_prefix("```") {
            if !is_open {
                blocks.push(Block {
                    line,
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            is_open = !is_open;
        } else if let (true, Some(block)) = (is_open, blocks.last_mut()) {
            block.text.push_str(text);
            block.text.push('\n');
        }
    }
    blocks
}

/// A `yaml` block with what follows it up to a `text` block; one without is only compiled.
fn examples(document: &str) -> Vec<Example> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let mut examples: Vec<Example> = Vec::new();
    let mut is_open = false;
    for block in blocks(&text) {
        let file = Path::new(document).file_name().unwrap().to_str().unwrap();
        let is_definition = block.language == "yaml" && block.text.contains("metrics:");
        if is_definition {
            let head = match block.text.contains("endpoints:") {
                true => "",
                false => "endpoints: { body: { path: /body } }\n",
            };
            examples.push(Example {
                name: format!("{file}:{}", block.line),
                definition: format!("{head}{}", block.text),
                bodies: Vec::new(),
                series: Vec::new(),
            });
            is_open = true;
        } else if let (true, Some(example)) = (is_open, examples.last_mut()) {
            match block.language.as_str() {
                "text" => {
                    example.series = block.text.lines().map(str::to_owned).collect();
                    is_open = false;
                }
                _ => example.bodies.push(block.text),
            }
        }
    }
    examples
}

/// All examples that show what they give, each with its compiled definition.
fn shown() -> Vec<(Example, std::sync::Arc<Definition>)> {
    let all = DOCUMENTS.iter().flat_map(|document| examples(document));
    let compiled = all.map(|example| {
        let (name, text) = (&example.name, &example.definition);
        let compiled = definition::from_text("example", name, text);
        let compiled = compiled.unwrap_or_else(|error| panic!("{error}"));
        (example, compiled)
    });
    let shown: Vec<_> = compiled.filter(|(of, _)| !of.series.is_empty()).collect();
    for (example, compiled) in &shown {
        let count = compiled.endpoints.len();
        assert_eq!(
            example.bodies.len(),
            count,
            "{}: a body an endpoint",
            example.name
        );
    }
    shown
}

#[test]
fn the_cookbook_has_twenty_cases_and_the_reference_an_example_a_section() {
    assert_eq!(examples(DOCUMENTS[1]).len(), 20);
    let text = std::fs::read_to_string(root().join(DOCUMENTS[0])).unwrap();
    let sections = [
        "Paths",
        "Elements",
        "Attributes",
        "Constants",
        "Values",
        "One metric",
        "Formats",
    ];
    for section in sections {
        let of = text.split("\n## ").find(|of| of.starts_with(section));
        assert!(of.unwrap_or_default().contains("```text"), "{section}");
    }
}

/// The receiver of one example, whose bodies stand below `/NUMBER`.
fn receiver(number: usize, file: &Path, node: &str) -> String {
    format!(
        "  http_json/{number}:\n    collection_interval: 1s\n    retry: {{max_retries: 0}}\n    timeout: {{max: 500ms}}\n    definition: '{}'\n    targets: \
         [{{endpoint: '{node}/{number}', name: example-{number}}}]\n",
        file.display()
    )
}

/// Answers each endpoint of each example with its body.
async fn node(examples: &[(Example, std::sync::Arc<Definition>)]) -> Server {
    let mut bodies = BTreeMap::new();
    for (number, (example, compiled)) in examples.iter().enumerate() {
        for (endpoint, body) in compiled.endpoints.iter().zip(&example.bodies) {
            let path = endpoint.path.split('?').next().unwrap_or_default();
            bodies.insert(format!("/{number}{path}"), body.clone().into_bytes());
        }
    }
    Server::start(move |request| {
        let body = bodies.get(request.uri().path()).cloned();
        let status = if body.is_some() { 200 } else { 404 };
        let body = bytes::Bytes::from(body.unwrap_or_default());
        Response::builder().status(status).body(body).unwrap()
    })
    .await
}

/// A sample without the labels that every target has.
fn line(sample: &Sample) -> String {
    let labels = sample.labels.iter();
    let own = labels.filter(|(key, _)| {
        *key != "target" && !key.starts_with("otel_") && !key.starts_with("server_")
    });
    let own: Vec<_> = own
        .map(|(key, value)| format!("{key}=\"{value}\""))
        .collect();
    match own.is_empty() {
        true => format!("{} {}", sample.name, sample.value),
        false => format!("{}{{{}}} {}", sample.name, own.join(","), sample.value),
    }
}

/// What a scrape shows of an example but for what the collector says itself.
fn series_of(scrape: &Scrape, number: usize) -> Vec<String> {
    let target = format!("example-{number}");
    let is_own = |name: &str| {
        name.starts_with("betanet_") || name.starts_with("http_json_") || name == "target_info"
    };
    let of = scrape
        .all()
        .iter()
        .filter(|sample| sample.labels.get("target") == Some(&target) && !is_own(&sample.name));
    let mut lines: Vec<_> = of.map(line).collect();
    lines.sort();
    lines
}

/// The same over OTLP: the last points of an example, as lines of a scrape.
fn lines_of(points: &[Point], number: usize) -> BTreeSet<String> {
    let target = format!("example-{number}");
    let of_target = points.iter().filter(|point| {
        let is_own = point.name.starts_with("http_json.");
        point.resource.get("service.instance.id") == Some(&target) && !is_own
    });
    // A later point replaces an earlier one of its series.
    let mut series = BTreeMap::new();
    for point in of_target {
        for (name, labels, value) in samples(point) {
            let labels: Vec<_> = labels
                .iter()
                .map(|(key, of)| format!("{key}=\"{of}\""))
                .collect();
            let labels = match labels.is_empty() {
                true => String::new(),
                false => format!("{{{}}}", labels.join(",")),
            };
            series.insert(format!("{name}{labels}"), value);
        }
    }
    let lines = series.into_iter();
    lines
        .map(|(series, value)| format!("{series} {value}"))
        .collect()
}

type Labelled = (String, BTreeMap<String, String>, String);

/// A point as a scrape shows it. The names of the examples are those of a scrape.
fn samples(point: &Point) -> Vec<Labelled> {
    let sample = |suffix: &str, bound: Option<String>, value: String| {
        let mut labels = point.attributes.clone();
        labels.extend(bound.map(|bound| ("le".to_owned(), bound)));
        (format!("{}{suffix}", point.name), labels, value)
    };
    match &point.value {
        Value::Missing => Vec::new(),
        Value::Int(value) => vec![sample("", None, value.to_string())],
        Value::Double(value) => vec![sample("", None, value.to_string())],
        Value::Histogram {
            count,
            sum,
            bounds,
            buckets,
        } => {
            let bounds = bounds.iter().map(|bound| format!("{bound:?}"));
            let bounds = bounds.chain(["+Inf".to_owned()]);
            let mut below = 0;
            let mut all: Vec<_> = bounds
                .zip(buckets)
                .map(|(bound, count)| {
                    below += count;
                    sample("_bucket", Some(bound), below.to_string())
                })
                .collect();
            all.push(sample("_count", None, count.to_string()));
            all.extend(sum.map(|sum| sample("_sum", None, sum.to_string())));
            all
        }
    }
}

/// What OTLP has of a line: integers above 2^63 − 1 are doubles there.
fn over_otlp(line: &str) -> String {
    let (series, value) = line.rsplit_once(' ').unwrap();
    match value.parse::<i64>() {
        Ok(_) => line.to_owned(),
        Err(_) => format!("{series} {}", value.parse::<f64>().unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_gives_what_it_says_on_a_scrape_and_over_otlp() {
    let examples = shown();
    let (node, sink) = (node(&examples).await, OtlpSink::start().await);
    let folder = TempDir::new().unwrap();
    let mut receivers = String::new();
    for (number, (example, _)) in examples.iter().enumerate() {
        let file = folder.path().join(format!("example{number}.yaml"));
        std::fs::write(&file, &example.definition).unwrap();
        receivers.push_str(&receiver(number, &file, node.url().trim_end_matches('/')));
    }
    let names: Vec<_> = (0..examples.len())
        .map(|n| format!("http_json/{n}"))
        .collect();
    let port = free_port();
    let config = format!(
        "receivers:\n{receivers}exporters:\n  prometheus: {{endpoint: '127.0.0.1:{port}'}}\n  \
         otlp_http: {{endpoint: '{}', sending_queue: {{batch: {{flush_timeout: 200ms}}}}}}\nservice:\n  telemetry: \
         {{metrics: {{level: none}}}}\n  pipelines:\n    metrics: {{receivers: [{}], exporters: [prometheus, \
         otlp_http]}}\n",
        sink.url(),
        names.join(", ")
    );
    let url = format!("http://127.0.0.1:{port}/metrics");
    let _collector = Collector::start(&config, &[], &url).await;
    for (number, (example, _)) in examples.iter().enumerate() {
        let mut expected = example.series.clone();
        expected.sort();
        let is_shown = eventually(&example.name, PATIENCE, async || {
            let scrape = Scrape::parse(get(&url).await.unwrap().text().await.unwrap());
            let shown = series_of(&scrape, number);
            (shown.len() >= expected.len()).then_some(shown)
        })
        .await;
        assert_eq!(is_shown, expected, "{}", example.name);
        let expected: BTreeSet<_> = expected.iter().map(|line| over_otlp(line)).collect();
        let pushed = eventually(&example.name, PATIENCE, async || {
            let pushed = lines_of(&sink.points(), number);
            (pushed.len() >= expected.len()).then_some(pushed)
        })
        .await;
        assert_eq!(pushed, expected, "{} over OTLP", example.name);
    }
}

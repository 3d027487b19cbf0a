//! `test`, `suggest` and `demo --definition`: how a definition is made and kept right.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::Response;
use tempfile::TempDir;

use crate::support::{
    PATIENCE,
    command::{Output, PROGRAM, beside, run_in, stdout_of},
    eventually, free_port, get,
    process::Process,
    server::Server,
    source::root,
};

/// Runs `test` in `folder`.
fn test(folder: &Path, arguments: &[&str]) -> Output {
    let mut all = vec!["test"];
    all.extend(arguments);
    run_in(folder, &all, &[])
}

/// A folder with `pipelines/d.yaml` and `pipelines/d.test.yaml`.
fn folder(definition: &str, tests: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let pipelines = folder.path().join("pipelines");
    std::fs::create_dir(&pipelines).unwrap();
    std::fs::write(pipelines.join("d.yaml"), definition).unwrap();
    std::fs::write(pipelines.join("d.test.yaml"), tests).unwrap();
    folder
}

/// The blocks behind a heading of `docs/definitions.md`.
fn blocks(heading: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("docs/definitions.md")).unwrap();
    let section = text.split("\n## ").find(|of| of.starts_with(heading));
    let blocks = section.unwrap().split("```").skip(1).step_by(2);
    let without_language = blocks.map(|block| block.split_once('\n').unwrap().1.to_owned());
    without_language.collect()
}

#[test]
fn the_documented_example_differs_as_it_says() {
    let blocks = blocks("Tests of a definition");
    let [definition, tests, console, _recorded] = blocks.as_slice() else {
        panic!("{blocks:#?}");
    };
    let folder = folder("", "");
    let pipelines = folder.path().join("pipelines");
    for name in ["d.yaml", "d.test.yaml"] {
        std::fs::remove_file(pipelines.join(name)).unwrap();
    }
    std::fs::write(pipelines.join("nodes.yaml"), definition).unwrap();
    std::fs::write(pipelines.join("nodes.test.yaml"), tests).unwrap();
    let output = test(folder.path(), &[]);
    let shown = format!("$ betanet-collector test\n{}", output.stdout);
    assert_eq!((output.code, shown.as_str()), (Some(1), console.as_str()));

    // By the name of its definition, and with what the bodies give.
    let output = test(folder.path(), &["--update", "pipelines/nodes.yaml"]);
    assert_eq!(output.code, Some(0), "{}", output.stdout);
    let written = std::fs::read_to_string(pipelines.join("nodes.test.yaml")).unwrap();
    assert_eq!(written, tests.replace("} 1.5", "} 1.25"));
    let output = test(folder.path(), &["pipelines/nodes.test.yaml"]);
    let ends = output.stdout.ends_with("2 tests, all passed\n");
    assert!(ends && output.code == Some(0), "{}", output.stdout);
    assert_eq!(output.stderr, "", "a pipe gets no progress");
}

const DEFINITION: &str = r#"
endpoints: { a: { path: /a }, b: { path: /b } }
uptime: { endpoint: a, path: $.up }
metrics:
  - { name: load, instrument: gauge, unit: "1", endpoint: a, value: $.load, time: { path: $.at } }
  - { name: jobs_total, instrument: counter, endpoint: a, for_each: $.jobs, value: $, attributes: { queue: "@key" } }
  - name: latency
    instrument: histogram
    unit: s
    endpoint: b
    histogram: { buckets: $.buckets, upper_bound: "@key", count: $ }
"#;

const SAME: &str = r#"
metrics:
  load: { unit: "1", instrument: gauge }
tests:
  - name: all
    bodies:
      a: { json: { up: 60, load: 0.5, at: 1782900000, jobs: { mail: 3 } } }
      b: { file: b.json }
    points:
      - load 0.5 1782900000
      - jobs_total{queue="mail"} 3
      - latency_bucket{le="1"} 2
      - latency_bucket{le="+Inf"} 5
      - latency_count 5
    uptime: 60
"#;

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a definition and all that differs from it"
)]
fn everything_that_may_differ_is_named_with_its_place() {
    let folder = folder(DEFINITION, SAME);
    let pipelines = folder.path().join("pipelines");
    std::fs::write(
        pipelines.join("b.json"),
        r#"{"buckets": {"1": 2, "+Inf": 3}}"#,
    )
    .unwrap();
    let output = test(folder.path(), &[]);
    assert_eq!(
        output.stdout,
        "pipelines/d.test.yaml: all: ok, 5 points\n1 test, all passed\n"
    );

    let other = SAME
        .replace(
            "unit: \"1\", instrument: gauge",
            "unit: s, instrument: counter",
        )
        .replace("load: 0.5,", "laod: 0.5,")
        .replace("} 3", "} 4")
        .replace("file: b.json", "file: broken")
        .replace("uptime: 60", "uptime: 61");
    let more = r#"
  - name: later
    follows: true
    bodies:
      a: { json: { load: 1, at: 1782900001, jobs: { mail: 2, web: 1 } } }
    points:
      - load 1 1782900002
      - jobs_total{queue="mail"} 2
    problems:
      - { metric: uptime, reason: missing, count: 2 }
      - { metric: load, reason: range }
    start_time: 2026-01-01T00:00:00Z
    resets: []
"#;
    std::fs::write(pipelines.join("broken"), "{").unwrap();
    std::fs::write(pipelines.join("d.test.yaml"), format!("{other}{more}")).unwrap();
    let output = test(folder.path(), &["pipelines"]);
    let expected = r#"pipelines/d.test.yaml: metrics: 2 differences
  pipelines/d.test.yaml:3:11: load: expected the unit `s`, found `1`
  pipelines/d.test.yaml:3:20: load: expected the instrument `counter`, found `gauge`
pipelines/d.test.yaml: all: 8 differences
  pipelines/d.test.yaml:5:5: load: not read (missing): $.load: no `load`; did you mean `laod`?
  pipelines/d.test.yaml:8:7: the body of `b` cannot be read: BROKEN
  pipelines/d.test.yaml:10:9: load 0.5 1782900000: expected, not found: $.load: no `load`; did you mean `laod`?
  pipelines/d.test.yaml:11:9: jobs_total{queue="mail"}: expected 4, found 3
  pipelines/d.test.yaml:12:9: latency_bucket{le="1"} 2: expected, not found
  pipelines/d.test.yaml:13:9: latency_bucket{le="+Inf"} 5: expected, not found
  pipelines/d.test.yaml:14:9: latency_count 5: expected, not found
  pipelines/d.test.yaml:15:5: uptime: expected 61 s, found 60 s
pipelines/d.test.yaml: later: 6 differences
  pipelines/d.test.yaml:17:5: jobs_total{queue="mail"}: a counter fell from 3 to 2; is it a gauge? If the server restarted, write `resets: [jobs_total]`
  pipelines/d.test.yaml:21:5: jobs_total{queue="web"} 1: found, not expected
  pipelines/d.test.yaml:22:9: load: expected 1 1782900002, found 1 1782900001
  pipelines/d.test.yaml:25:9: uptime: expected 2 values that cannot be read (missing), found 1
  pipelines/d.test.yaml:26:9: load: expected 1 values that cannot be read (range), found 0
  pipelines/d.test.yaml:27:5: start_time: expected 2026-01-01T00:00:00Z, found none
3 tests, 3 failed
"#;
    let broken = output
        .stdout
        .lines()
        .find(|line| line.contains("`b` cannot be read: "));
    let why = broken.unwrap().split_once("cannot be read: ").unwrap().1;
    assert_eq!(output.stdout, expected.replace("BROKEN", why));
    assert_eq!(output.code, Some(1));
}

#[test]
fn mistakes_in_a_file_are_all_named_and_other_files_still_run() {
    let wrong = r#"
metrics: { laod: { unit: s } }
tests:
  - name: first
    follows: true
    bodies: { c: "{}", a: { file: none.json } }
    points:
      - load
      - load 1
      - load 2
    problems: [{ metric: start_time, reason: missing }]
    resets: [jobs_total]
    start_time: yesterday
"#;
    let folder = folder(DEFINITION, wrong);
    let pipelines = folder.path().join("pipelines");
    std::fs::write(
        pipelines.join("b.json"),
        r#"{"buckets": {"1": 2, "+Inf": 3}}"#,
    )
    .unwrap();
    std::fs::write(pipelines.join("a.test.yaml"), "tests: [{nam: x}]").unwrap();
    let beside = format!("definition: d.yaml\n{SAME}");
    std::fs::write(pipelines.join("z.test.yaml"), beside).unwrap();
    let output = test(folder.path(), &[]);
    let expected = r#"pipelines/a.test.yaml: cannot be run
  pipelines/a.test.yaml:1:10: tests::0::nam: unknown key (did you mean `name`?)
pipelines/d.test.yaml: cannot be run
  pipelines/d.test.yaml:2:12: metrics::laod: there is no metric `laod`; did you mean `load`?
  pipelines/d.test.yaml:5:5: tests::0::follows: there is no test above that it could follow
  pipelines/d.test.yaml:6:15: tests::0::bodies::c: there is no endpoint `c`; there are `a`, `b`
  pipelines/d.test.yaml:6:24: tests::0::bodies::a: failed to read `pipelines/none.json`: No such file or directory (os error 2)
  pipelines/d.test.yaml:8:9: tests::0::points::0: expected a number at the end; a point is `name{key="value"} 12`
  pipelines/d.test.yaml:10:9: tests::0::points::2: `load` is there twice
  pipelines/d.test.yaml:11:18: tests::0::problems::0::metric: there is no metric `start_time`; there are `load`, `jobs_total`, `latency`, `uptime`
  pipelines/d.test.yaml:13:5: tests::0::start_time: expected a time such as 2026-01-01T00:00:00Z
pipelines/z.test.yaml: all: ok, 5 points
3 tests, 2 failed
"#;
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), expected));
    for (arguments, expected) in [
        (&["nowhere"][..], "`nowhere` is neither"),
        (&["."], "there is no `NAME.test.yaml` in `.`"),
        (&["none.test.yaml"], "failed to read `none.test.yaml`"),
    ] {
        let output = test(folder.path(), arguments);
        assert_ne!(output.code, Some(0), "{arguments:?}");
        let all = format!("{}{}", output.stdout, output.stderr);
        assert!(all.contains(expected), "{all}");
    }
}

const SEVERAL: &str = r#"
endpoints:
  apps: { path: /apps, pages: { next: $.next } }
  jobs: { path: "/apps/${app:id}/jobs", for_each: { endpoint: apps, path: $.apps, as: app } }
  up: { path: /up }
metrics:
  - { name: apps, instrument: gauge, endpoint: apps, count: "$.apps[*]" }
  - { name: jobs, instrument: counter, endpoint: jobs, value: $.jobs, attributes: { app: "app:$.name" } }
  - { name: up, instrument: gauge, endpoint: up, value: $.up, optional: true }
"#;

#[test]
fn a_body_has_pages_and_answers_for_elements() {
    let tests = r#"
tests:
  - name: two pages
    bodies:
      apps:
        pages:
          - '{"apps": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], "next": "/apps?page=2"}'
          - json: { apps: [{ id: 3, name: c }] }
      jobs: { for_each: ['{"jobs": 5}', null, { json: { jobs: 7 } }] }
    points:
      - apps 3
      - jobs{app="a"} 5
      - jobs{app="c"} 7
  - name: others than there are elements
    bodies:
      apps: '{"apps": [{"id": 1, "name": "a"}]}'
      jobs: { for_each: ['{"jobs": 5}', '{"jobs": 6}'] }
    points: [apps 1]
  - name: elements of nothing
    bodies: { jobs: { for_each: [] } }
    points: []
"#;
    let folder_of = folder(SEVERAL, tests);
    let output = test(folder_of.path(), &[]);
    let expected = r#"pipelines/d.test.yaml: two pages: ok, 3 points
pipelines/d.test.yaml: others than there are elements: 1 difference
  pipelines/d.test.yaml:17:7: the body of `jobs` cannot be read: it has 2 answers, and `apps` has another number of elements for it: 1
pipelines/d.test.yaml: elements of nothing: 1 difference
  pipelines/d.test.yaml:20:15: the body of `jobs` cannot be read: it is requested for elements of `apps`, of which no body is saved
3 tests, 2 failed
"#;
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), expected));
}

#[test]
fn a_body_of_another_shape_than_its_endpoint_is_refused() {
    let wrong = r#"
tests:
  - name: wrong
    bodies:
      apps: { for_each: ["{}"] }
      jobs: { pages: ["{}"] }
      up: { pages: ["{}"] }
    points: []
  - name: deep
    bodies:
      apps: { pages: [{ pages: ["{}"] }] }
      jobs: { for_each: [{ pages: ["{}"] }] }
      up: { file: a.json, json: 1 }
    points: []
"#;
    let folder_of = folder(SEVERAL, wrong);
    let output = test(folder_of.path(), &[]);
    let expected = r#"pipelines/d.test.yaml: cannot be run
  pipelines/d.test.yaml:13:11: tests::1::bodies::up: a body has one of `file`, `json`, `pages` and `for_each`
1 test, 1 failed
"#;
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), expected));
    let folder_of = folder(SEVERAL, &wrong.replace("file: a.json, ", ""));
    let output = test(folder_of.path(), &[]);
    let expected = r#"pipelines/d.test.yaml: cannot be run
  pipelines/d.test.yaml:5:7: tests::0::bodies::apps: `apps` is requested once: its endpoint has no `for_each`
  pipelines/d.test.yaml:6:7: tests::0::bodies::jobs: `jobs` is requested for each element of `apps`: write `for_each: [BODY, …]`
  pipelines/d.test.yaml:7:7: tests::0::bodies::up: `up` has one page: its endpoint has no `pages`
  pipelines/d.test.yaml:11:7: tests::1::bodies::apps: expected one body: a text, `{file: PATH}` or `{json: …}`
  pipelines/d.test.yaml:12:7: tests::1::bodies::jobs: `jobs` has one page: its endpoint has no `pages`
1 test, 1 failed
"#;
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), expected));
}

#[test]
fn the_tests_of_the_built_in_definitions_pass() {
    let all = stdout_of(&["test"], &[]);
    assert!(all.ends_with(" tests, all passed\n"), "{all}");
}

/// Pages, and a request for each element of them.
const RECORDED: &str = r#"
endpoints:
  apps: { path: /apps?page=1, pages: { next: $.next } }
  jobs: { path: "/jobs/${app:id}", for_each: { endpoint: apps, path: $.apps, as: app } }
metrics:
  - { name: app_load, instrument: gauge, endpoint: apps, for_each: $.apps, value: $.load, attributes: { app: $.id } }
  - { name: jobs, instrument: gauge, endpoint: jobs, value: $.count, attributes: { app: "app:$.id" } }
"#;

/// A folder with a definition, what `check` has recorded, and a test without points. Also the text of
/// the test.
async fn recorded() -> (TempDir, String) {
    let server = Server::start(|request| {
        let body = match (request.uri().path(), request.uri().query()) {
            ("/apps", Some("page=1")) => {
                r#"{"apps": [{"id": "x", "load": 1}], "next": "/apps?page=2"}"#
            }
            ("/apps", _) => r#"{"apps": [{"id": "y", "load": 2}], "next": null}"#,
            ("/jobs/x", _) => r#"{"count": 3}"#,
            _ => r#"{"count": 4}"#,
        };
        Response::new(bytes::Bytes::from_static(body.as_bytes()))
    })
    .await;
    let url = server.url();
    let tests = format!(
        "tests:\n  - name: two pages\n    recorded: recorded/{}\n",
        server.address()
    );
    let folder = folder(RECORDED, &tests);
    let record = [
        "check",
        "--endpoint",
        &url,
        "--definition",
        "pipelines/d.yaml",
        "--record",
        "pipelines/recorded",
    ];
    let recorded = beside(folder.path(), &record).await;
    assert_eq!(recorded.code, Some(0), "{}", recorded.stdout);
    (folder, tests)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_check_recorded_is_a_test_with_all_pages_and_requests() {
    let (folder, tests) = recorded().await;
    let output = test(folder.path(), &["--update"]);
    assert_eq!(output.code, Some(0), "{}", output.stdout);
    let file = folder.path().join("pipelines/d.test.yaml");
    let points = "    points:\n      - app_load{app=\"x\"} 1\n      - app_load{app=\"y\"} 2\n      - jobs{app=\"x\"} 3\n      - jobs{app=\"y\"} 4\n";
    assert_eq!(std::fs::read_to_string(&file).unwrap(), tests + points);
    let output = test(folder.path(), &[]);
    assert_eq!(output.code, Some(0), "{}", output.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_with_recorded_bodies_says_what_differs() {
    let (folder, tests) = recorded().await;
    let file = folder.path().join("pipelines/d.test.yaml");
    let fails = |text: String, arguments: &[&str], says: &str| {
        std::fs::write(&file, text).unwrap();
        let output = test(folder.path(), arguments);
        let is_said = output.code == Some(1) && output.stdout.contains(says);
        assert!(is_said, "{}", output.stdout);
    };
    // What differs otherwise is not written.
    let problem = "    problems:\n      - { metric: jobs, reason: missing }\n";
    let says = "jobs: expected 1 values that cannot be read (missing), found 0";
    fails(tests.clone() + problem, &["--update"], says);
    let says = "a test has either `bodies` or `recorded`";
    fails(tests.clone() + "    bodies: {}\n", &[], says);
    let nothing = "    points: []\n  - name: nothing\n";
    let says = "a test has `bodies`, or `recorded` with the directory";
    fails(tests.clone() + nothing, &[], says);
    let says = "belongs to no endpoint of the definition";
    fails(tests.replace("recorded/", "gone/"), &[], says);
}

/// Answers the two polls of `suggest`: a counter has grown meanwhile.
async fn api() -> Server {
    let polls = Arc::new(AtomicU64::new(0));
    Server::start(move |request| {
        let body = match request.uri().path() {
            "/stats" => {
                let sent = 5 + polls.fetch_add(1, Ordering::Relaxed);
                format!(r#"{{"queues": [{{"name": "mail", "sent": {sent}, "depth": 3}}]}}"#)
            }
            _ => "a,b\n1,x\n".to_owned(),
        };
        let is_known = request.headers().get("authorization").is_some();
        let mut response = Response::new(bytes::Bytes::from(body));
        if request.uri().path() == "/secret" && !is_known {
            *response.status_mut() = http::StatusCode::UNAUTHORIZED;
        }
        response
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suggestion_is_a_definition_that_check_accepts() {
    let api = api().await;
    let folder = TempDir::new().unwrap();
    let url = api.url();
    let at_path = format!("{url}/stats");
    let arguments = [
        "suggest",
        "--endpoint",
        &at_path,
        "--wait",
        "1ms",
        "--name",
        "mq",
    ];
    let output = beside(folder.path(), &arguments).await;
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let lines = [
        "  stats: { path: /stats }",
        "  - for_each: $.queues",
        "    attributes: { queue: $.name }",
        "      # it grew from 5 to 6",
        "      - { name: mq.queue.sent, instrument: counter, value: $.sent }",
        "      - { name: mq.queue.depth, instrument: gauge, value: $.depth }",
    ];
    for line in lines {
        assert!(
            output.stdout.lines().any(|of| of == line),
            "{line}\n{}",
            output.stdout
        );
    }
    let file = folder.path().join("mq.yaml");
    std::fs::write(&file, &output.stdout).unwrap();
    let check = ["check", "--endpoint", &url, "--definition", "./mq.yaml"];
    let checked = beside(folder.path(), &check).await;
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
    assert!(
        checked.stdout.contains("mq.queue.sent   queue=mail"),
        "{}",
        checked.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn suggest_uses_the_credentials_of_a_receiver_and_says_what_failed() {
    let api = api().await;
    let folder = TempDir::new().unwrap();
    let config = format!(
        "yaml:{{receivers: {{http_json/x: {{definition: nginx, auth: {{bearer: {{token: hunter2}}}}, targets: [{{endpoint: '{}'}}]}}}}, \
         exporters: {{debug: }}, service: {{pipelines: {{metrics: {{receivers: [http_json/x], exporters: [debug]}}}}}}}}",
        api.url()
    );
    let receiver = [
        "suggest",
        "--config",
        &config,
        "--receiver",
        "http_json/x",
        "--wait",
        "1ms",
    ];
    let csv = ["--path", "/secret", "--format", "csv"];
    let output = beside(folder.path(), &[&receiver[..], &csv].concat()).await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(output.stdout.contains("format: csv"), "{}", output.stdout);
    assert!(!output.stdout.contains("hunter2"));
    let url = api.url();
    for (arguments, message) in [
        (
            &["--endpoint", &url, "--path", "/secret", "--path", "/stats"][..],
            "`/secret` gave no document: ",
        ),
        (
            &["--endpoint", &url, "--path", "/a"],
            "`/a` gave no document: ",
        ),
        (
            &["--config", &config, "--receiver", "http_json/y"],
            "there is no receiver `http_json/y` with a target",
        ),
        (&["--endpoint", "nowhere"], "relative URL without a base"),
    ] {
        let output = beside(
            folder.path(),
            &[&["suggest", "--wait", "1ms"], arguments].concat(),
        )
        .await;
        assert_eq!(output.code, Some(1), "{arguments:?}");
        assert!(
            output.stderr.contains(message),
            "{arguments:?}: {}",
            output.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_of_a_definition_shows_its_series() {
    let here = root();
    // Both endpoints are a POST to one path, and each has its own answer.
    let aria2 = ["aria2_transfers{", "aria2_transfer_size_bytes{"];
    shows("aria2", here, &aria2).await;
    // Requests for each of the elements, and pages.
    let spark = [
        "spark_executor_time_seconds_total{",
        "spark_job_task_active{",
    ];
    shows("spark", here, &spark).await;
    let tests = r#"
tests:
  - name: two pages
    bodies:
      apps:
        pages:
          - '{"apps": [{"id": 1, "name": "a"}], "next": "http://node.example/apps?page=2"}'
          - '{"apps": [{"id": 3, "name": "c"}]}'
      jobs: { for_each: ['{"jobs": 5}', '{"jobs": 7}'] }
      up: '{"up": 1}'
    points: []
"#;
    let folder = folder(SEVERAL, tests);
    let several = [
        "apps{target=\"d\"} 2",
        "jobs_total{target=\"d\",app=\"c\"} ",
    ];
    shows("d", folder.path(), &several).await;
}

/// A demo in this folder has series that begin so, and nothing fails.
async fn shows(name: &str, folder: &Path, series: &[&str]) {
    let [port, own] = [free_port(), free_port()];
    let [listen, telemetry] = [port, own].map(|port| format!("127.0.0.1:{port}"));
    let arguments = [
        "demo",
        "--definition",
        name,
        "--interval",
        "1",
        "--listen",
        &listen,
        "--telemetry-listen",
        &telemetry,
    ];
    let _demo = Process::start(PROGRAM, |command, _| {
        command.args(arguments).env_clear().current_dir(folder);
    });
    let url = format!("http://{listen}/metrics");
    let scrape = eventually("the series", PATIENCE, async || {
        let scrape = get(&url).await.ok()?.text().await.ok()?;
        let has = |begin: &&str| scrape.lines().any(|line| line.starts_with(*begin));
        series.iter().all(has).then_some(scrape)
    })
    .await;
    let failed = scrape.lines().find(|line| {
        line.starts_with("betanet_source_up{") && !line.ends_with(" 1")
            || line.starts_with("betanet_mapping_problems_total{")
    });
    assert_eq!(failed, None, "{scrape}");
}

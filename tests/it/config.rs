//! Tests of the configuration from the operator's view: sources, defaults, secrets, schemas.

use std::path::Path;

use betanet_collector::{
    simulator::{Dialect, Node, NodeOptions},
    yaml::{self, Diagnostics, Plain},
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::support::{
    PATIENCE,
    command::{PROGRAM, golden, run, run_in, stdout_of, yaml_files},
    eventually, free_port,
    process::Process,
    source::root,
};

/// A small valid configuration.
const SMALL: &str = "yaml:{receivers: {betanet: {targets: [{endpoint: 'http://localhost:9000'}]}}, \
                     exporters: {debug: }, \
                     service: {pipelines: {metrics: {receivers: [betanet], exporters: [debug]}}}}";

/// The JSON output of `print-config`.
fn printed(arguments: &[&str], environment: &[(&str, &str)]) -> Value {
    let mut all = vec!["print-config", "--format", "json"];
    all.extend(arguments);
    serde_json::from_str(&stdout_of(&all, environment)).unwrap()
}

#[test]
fn later_sources_are_merged_over_earlier_ones() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("over.yaml");
    let over = "receivers: {betanet: {timeout: {max: 2s}, targets: [{endpoint: 'http://a:1'}, {endpoint: 'http://b:2'}]}}";
    std::fs::write(&file, over).unwrap();
    let file = format!("file:{}", file.display());
    let config = printed(
        &[
            "--config",
            SMALL,
            "--config",
            &file,
            "--config",
            "env:OVER",
            "--config",
            "yaml:exporters::debug::verbosity: detailed",
            "--set",
            "receivers.betanet.concurrency=7",
        ],
        &[(
            "OVER",
            "receivers: {betanet: {targets: [{endpoint: 'http://c:3'}]}}",
        )],
    );
    let receiver = &config["receivers"]["betanet"];
    assert_eq!(receiver["timeout"]["max"], "2s", "maps are merged");
    assert_eq!(
        receiver["targets"].as_array().unwrap().len(),
        1,
        "lists are replaced"
    );
    assert_eq!(receiver["targets"][0]["endpoint"], "http://c:3/");
    assert_eq!(receiver["concurrency"], 7, "--set comes last");
    assert_eq!(
        config["exporters"]["debug"]["verbosity"], "detailed",
        "a::b nests"
    );
}

#[test]
fn null_removes_the_value_of_an_earlier_source() {
    let headers = "receivers.betanet.headers={a: b}";
    let set = printed(&["--config", SMALL, "--set", headers], &[]);
    assert_eq!(
        set["receivers"]["betanet"]["headers"],
        json!({"a": "[REDACTED]"})
    );
    let arguments = [
        "--config",
        SMALL,
        "--set",
        headers,
        "--set",
        "receivers.betanet.headers=",
    ];
    assert_eq!(
        printed(&arguments, &[])["receivers"]["betanet"]["headers"],
        json!({})
    );
}

#[test]
fn a_message_names_the_source_of_the_mistake() {
    for (arguments, message) in [
        (
            vec!["--config", SMALL, "--set", "receivers.betanet.timout=1s"],
            "--set receivers.betanet.timout:1:1: receivers::betanet::timout: unknown key (did you mean `timeout`?)",
        ),
        (
            vec!["--config", SMALL, "--config", "env:OVER"],
            "env:OVER:2:3: receivers: unknown key",
        ),
        (
            vec!["--config", "env:NONE"],
            "env:NONE: environment variable \"NONE\" is not set",
        ),
        (
            vec!["--config", "none.yaml"],
            "none.yaml: cannot read the file: No such file",
        ),
        (
            vec!["--config", "http://a/b"],
            "unsupported scheme on URI \"http://a\"",
        ),
        (
            vec!["--config", SMALL, "--set", "a.b"],
            "missing equal sign",
        ),
    ] {
        let mut all = vec!["validate"];
        all.extend(&arguments);
        let output = run(&all, &[("OVER", "\nreceivers: {betanet: {tls: 1}}")]);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (Some(1), ""),
            "{arguments:?}"
        );
        if message.starts_with("env:OVER") {
            let place =
                "env:OVER:2:28: receivers::betanet::tls: expected a map, found the integer 1";
            assert!(output.stderr.contains(place), "{}", output.stderr);
        } else {
            assert!(
                output.stderr.contains(message),
                "{message}\n{}",
                output.stderr
            );
        }
    }
}

#[test]
fn the_default_configuration_takes_its_values_from_the_environment() {
    let before = printed(&[], &[]);
    let after = printed(
        &[],
        &[
            ("BETANET_URL", "http://node:9000"),
            ("BETANET_DEFINITION", "betanet-mixnode"),
            ("BETANET_INTERVAL", "1m"),
            ("BETANET_TIMEOUT", "250ms"),
            ("BETANET_LISTEN", "0.0.0.0:9201"),
            ("BETANET_LOG_LEVEL", "debug"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://backend:4318"),
        ],
    );
    for (pointer, default, set) in [
        (
            "/receivers/betanet/targets/0/endpoint",
            "http://localhost:9000/",
            "http://node:9000/",
        ),
        (
            "/receivers/betanet/definition/0",
            "betanet",
            "betanet-mixnode",
        ),
        ("/receivers/betanet/collection_interval", "15s", "1m"),
        ("/receivers/betanet/timeout/max", "5s", "250ms"),
        (
            "/exporters/prometheus/endpoint",
            "localhost:9200",
            "0.0.0.0:9201",
        ),
        (
            "/extensions/health_check/endpoint",
            "localhost:9200",
            "0.0.0.0:9201",
        ),
        ("/service/telemetry/logs/level", "info", "debug"),
        (
            "/exporters/otlp_http/endpoint",
            "http://localhost:4318/",
            "http://backend:4318/",
        ),
    ] {
        assert_eq!(before.pointer(pointer), Some(&json!(default)), "{pointer}");
        assert_eq!(after.pointer(pointer), Some(&json!(set)), "{pointer}");
    }
}

#[test]
fn the_default_configuration_is_read_only_from_the_working_directory() {
    let validated = run(&["validate"], &[]);
    assert_eq!((validated.code, validated.stderr.as_str()), (Some(0), ""));
    let folder = TempDir::new().unwrap();
    for command in ["run", "validate", "print-config", "check"] {
        let output = run_in(folder.path(), &[command], &[]);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (Some(1), ""),
            "{command}"
        );
        let message = "Error: at least one config flag must be provided: --config FILE (there is no `otel-config.yaml` in this folder)\n";
        assert_eq!(output.stderr, message, "{command}");
    }
}

#[test]
fn the_output_of_print_config_loads_as_the_same_configuration() {
    let extra = "yaml:{exporters: {otlp_grpc: {endpoint: 'localhost:4317', compression: zstd}}, \
                 receivers: {http_json/x: {definition: nats, targets: [{endpoint: 'https://h/p', name: n, labels: {a: '1'}}]}}, \
                 service: {pipelines: {metrics/x: {receivers: [http_json/x], exporters: [otlp_grpc]}}, \
                 telemetry: {traces: {sampler: {trace_id_ratio_based: {ratio: 0.5}}}, \
                 metrics: {readers: [{periodic: {interval: 5000, exporter: {otlp: {endpoint: 'http://h:4318'}}}}]}}}}";
    let sources = ["--config", "otel-config.yaml", "--config", extra];
    for format in ["yaml", "json"] {
        let print = ["print-config", "--format", format];
        let first = stdout_of(&[&print[..], &sources[..]].concat(), &[]);
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("printed.yaml");
        std::fs::write(&file, &first).unwrap();
        let second = stdout_of(
            &[&print[..], &["--config", file.to_str().unwrap()]].concat(),
            &[],
        );
        assert_eq!(first, second, "{format}");
    }
}

/// Every secret in the configuration contains this text, from the environment and in the file.
const CANARY: &str = "c4n4ry-s3cr3t";

/// Two receivers, because `auth` allows only one kind. The destination refuses the data, so that
/// errors are logged too.
fn with_secrets(node: &str, listen: u16, telemetry: u16, refused: u16) -> String {
    format!(
        "receivers:
  betanet:
    targets: [{{ endpoint: \"{node}\", name: a }}]
    collection_interval: 200ms
    timeout: 100ms
    retry: {{ max_retries: 0 }}
    headers: {{ X-Api-Key: \"${{env:CANARY}}\", X-Other: {CANARY} }}
    auth: {{ basic: {{ username: admin, password: \"${{env:CANARY}}\" }} }}
    http_sd_configs: [{{ url: \"http://127.0.0.1:{refused}/list?token={CANARY}\" }}]
  betanet/bearer:
    targets: [{{ endpoint: \"{node}\", name: b }}]
    collection_interval: 200ms
    timeout: 100ms
    retry: {{ max_retries: 0 }}
    proxy: http://admin:{CANARY}@127.0.0.1:{refused}
    headers: [{{ name: X-Api-Key, value: {CANARY} }}]
    auth: {{ bearer: {{ token: {CANARY} }} }}
exporters:
  prometheus: {{ endpoint: \"127.0.0.1:{listen}\" }}
  debug: {{ verbosity: detailed }}
  otlp_http:
    metrics_endpoint: \"http://127.0.0.1:{refused}/?api_key=${{env:CANARY}}\"
    headers: {{ Authorization: \"Bearer ${{env:CANARY}}\" }}
    retry_on_failure: {{ initial_interval: 100ms }}
  otlp_grpc:
    endpoint: http://127.0.0.1:{refused}
    headers: {{ authorization: \"Bearer {CANARY}\" }}
    retry_on_failure: {{ initial_interval: 100ms }}
extensions:
  health_check: {{ endpoint: \"127.0.0.1:{listen}\" }}
service:
  extensions: [health_check]
  shutdown_timeout: 500ms
  pipelines:
    metrics:
      receivers: [betanet, betanet/bearer]
      exporters: [prometheus, debug, otlp_http, otlp_grpc]
  telemetry:
    logs: {{ level: debug }}
    metrics: {{ readers: [{{ pull: {{ exporter: {{ prometheus: {{ host: 127.0.0.1, port: {telemetry} }} }} }} }}] }}
"
    )
}

#[test]
fn print_config_and_errors_do_not_show_secrets() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("c.yaml"),
        with_secrets("http://localhost:9", 1, 2, 3),
    )
    .unwrap();
    for format in ["yaml", "json"] {
        let arguments = ["print-config", "--config", "c.yaml", "--format", format];
        let output = run_in(folder.path(), &arguments, &[("CANARY", CANARY)]);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
        assert_eq!(
            output.stdout.matches("[REDACTED]").count(),
            10,
            "{}",
            output.stdout
        );
        assert!(!output.stdout.contains(CANARY), "{}", output.stdout);
    }
    let mistakes = format!(
        "receivers: {{betanet: {{timout: 1s, timeout: '${{env:CANARY}}', concurrency: '${{env:CANARY}}', \
         headers: {{'a b': {CANARY}, c: '{CANARY}\\n'}}, auth: {{basic: {{password: {CANARY}}}}}, \
         targets: [{{endpoint: 'http://u:{CANARY}@h'}}, {{endpoint: 'http://u:${{env:CANARY}}@h'}}]}}}}"
    );
    std::fs::write(folder.path().join("mistakes.yaml"), mistakes).unwrap();
    let arguments = [
        "validate",
        "--config",
        "c.yaml",
        "--config",
        "mistakes.yaml",
    ];
    let output = run_in(folder.path(), &arguments, &[("CANARY", CANARY)]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.lines().count() > 4, "{}", output.stderr);
    assert!(!output.stderr.contains(CANARY), "{}", output.stderr);
}

#[tokio::test]
async fn a_running_collector_does_not_show_secrets() {
    let node = Node::start(NodeOptions::new(Dialect::Betanet)).unwrap();
    let [listen, telemetry, refused] = [free_port(), free_port(), free_port()];
    let config = with_secrets(&node.url(), listen, telemetry, refused);
    let mut collector = Process::start(PROGRAM, |command, folder| {
        std::fs::write(folder.join("c.yaml"), config).unwrap();
        command
            .current_dir(folder)
            .args(["--config", "c.yaml"])
            .env("CANARY", CANARY);
    });
    let urls = [
        format!("http://127.0.0.1:{listen}/metrics"),
        format!("http://127.0.0.1:{listen}/health"),
        format!("http://127.0.0.1:{telemetry}/metrics"),
    ];
    collector.answers(&urls[0]).await;
    node.wait_for_requests(12).await;
    eventually("a refused push is logged", PATIENCE, async || {
        let log = collector.log();
        let told = |id: &str| {
            log.lines()
                .any(|line| line.contains(id) && line.contains("WARN"))
        };
        (told("otlp_http") && told("otlp_grpc")).then_some(())
    })
    .await;
    for url in urls {
        let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
        assert!(!text.is_empty() && !text.contains(CANARY), "{url}: {text}");
    }
    collector.stop().await;
    let log = collector.log();
    assert!(
        log.contains("betanet_connected_peers"),
        "the log is at work: {log}"
    );
    assert!(!log.contains(CANARY) && !log.contains("YWRtaW4"), "{log}");
}

/// A configuration of the Collector with keys that have no effect here.
#[tokio::test]
async fn a_key_without_effect_is_one_line_of_the_log() {
    let node = Node::start(NodeOptions::new(Dialect::Betanet)).unwrap();
    let [listen, telemetry] = [free_port(), free_port()];
    let config = format!(
        "receivers: {{betanet: {{targets: [{{endpoint: \"{}\"}}]}}}}
exporters:
  prometheus: {{endpoint: \"127.0.0.1:{listen}\", cors: {{allowed_origins: [x]}}}}
extensions:
  health_check: {{endpoint: \"127.0.0.1:{listen}\", path: /, response_body: {{healthy: fine, unhealthy: wait}}}}
service:
  extensions: [health_check]
  pipelines: {{metrics: {{receivers: [betanet], exporters: [prometheus, prometheus]}}}}
  telemetry:
    resource: {{service.version: null, service.name: fleet}}
    logs: {{encoding: JSON, sampling: {{enabled: true}}}}
    metrics: {{level: Detailed, readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {telemetry}.0}}}}}}}}]}}
",
        node.url()
    );
    let mut collector = Process::start(PROGRAM, |command, folder| {
        std::fs::write(folder.join("c.yaml"), config).unwrap();
        command.current_dir(folder).args(["--config", "c.yaml"]);
    });
    collector
        .answers(&format!("http://127.0.0.1:{listen}/readyz"))
        .await;
    let get = async |url: String| reqwest::get(url).await.unwrap().text().await.unwrap();
    let health = format!("http://127.0.0.1:{listen}/");
    eventually("the node was polled", PATIENCE, async || {
        (get(health.clone()).await == "fine").then_some(())
    })
    .await;
    let own = get(format!("http://127.0.0.1:{telemetry}/metrics")).await;
    assert!(own.contains("service_name=\"fleet\""), "{own}");
    assert!(!own.contains("service_version"), "{own}");
    collector.stop().await;
    let log = collector.log();
    for (key, says) in [
        ("exporters::prometheus::cors", "has no effect"),
        ("service::telemetry::logs::sampling", "has no effect"),
        (
            "service::pipelines::metrics::exporters::1",
            "it is used once",
        ),
    ] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(key)).collect();
        let [line] = lines.as_slice() else {
            panic!("{key}: {log}");
        };
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["level"], "WARN");
        assert!(line.to_string().contains(says), "{line}");
    }
}

#[test]
fn components_lists_all_components() {
    let text = stdout_of(&["components"], &[]);
    let list = document("components", &text);
    let names = |section: &str| -> Vec<String> {
        let entries = list[section].as_array().unwrap().iter();
        entries
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("receivers"), ["betanet", "http_json"]);
    assert_eq!(
        names("exporters"),
        [
            "debug",
            "file",
            "otlp_grpc",
            "otlp_http",
            "prometheus",
            "prometheusremotewrite"
        ]
    );
    assert_eq!(
        names("extensions"),
        [
            "basicauth",
            "bearertokenauth",
            "digestauth",
            "file_storage",
            "health_check",
            "oauth2client",
            "session",
            "sigv4auth",
            "status_page"
        ]
    );
    assert_eq!(list["exporters"][2]["aliases"], json!(["otlp"]));
    assert_eq!(list["buildinfo"]["version"], env!("CARGO_PKG_VERSION"));
    for definition in names("definitions") {
        assert!(
            root()
                .join(format!("pipelines/{definition}.yaml"))
                .is_file(),
            "{definition}"
        );
    }
}

#[test]
fn the_schemas_in_docs_are_up_to_date() {
    for (arguments, file) in [
        (&["schema"][..], "docs/otel-config.schema.json"),
        (&["schema", "--definition"], "docs/definition.schema.json"),
        (&["schema", "--test"], "docs/definition-test.schema.json"),
    ] {
        let difference = golden(&root().join(file), &stdout_of(arguments, &[]));
        assert!(
            difference.is_none(),
            "{file} is old: UPDATE_FIXTURES=1 rewrites it"
        );
    }
}

#[test]
fn the_configuration_files_match_their_schemas() {
    let validator = |arguments: &[&str]| {
        let text = stdout_of(arguments, &[]);
        jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
    };
    let config = validator(&["schema"]);
    let definition = validator(&["schema", "--definition"]);
    obeys(&config, &root().join("otel-config.yaml"));
    // What the program accepts without effect, an editor accepts as well.
    let file = root().join("tests/fixtures/config/copied-without-effect.yaml");
    // The program also reads words in another case and whole numbers with a point; editors mark them.
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text
        .replace("Detailed", "detailed")
        .replace("8888.0", "8888");
    obeys_text(&config, &file.display().to_string(), &text);
    let test = validator(&["schema", "--test"]);
    for file in yaml_files("pipelines") {
        let (schema, name) = match file.to_str().unwrap().ends_with(".test.yaml") {
            true => (&test, "definition-test"),
            false => (&definition, "definition"),
        };
        obeys(schema, &file);
        let text = std::fs::read_to_string(&file).unwrap();
        let modeline = format!("# yaml-language-server: $schema=../docs/{name}.schema.json\n");
        assert!(text.starts_with(&modeline), "{}", file.display());
    }
    // An editor also underlines what `validate` refuses because of its form.
    for mistake in [
        "key-unknown-in-a-receiver",
        "key-misspelt-in-a-target",
        "section-unknown",
        "duration-bare-number",
        "type-text-for-integer",
        "type-of-exporter-unknown",
        "url-without-scheme",
        "listen-without-port",
        "type-list-for-map",
        "type-unknown-word",
    ] {
        let file = root().join(format!("tests/fixtures/config/{mistake}.yaml"));
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!config.is_valid(&document(mistake, &text)), "{mistake}");
    }
    for mistake in [
        "unknown-key",
        "instrument-unknown",
        "missing-keys",
        "endpoint-unknown-format",
    ] {
        let file = root().join(format!("tests/fixtures/definitions/{mistake}.yaml"));
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!definition.is_valid(&document(mistake, &text)), "{mistake}");
    }
}

fn obeys(schema: &jsonschema::Validator, file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    obeys_text(schema, &file.display().to_string(), &text);
}

fn obeys_text(schema: &jsonschema::Validator, name: &str, text: &str) {
    let document = document(name, text);
    let errors: Vec<String> = schema
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}

/// A YAML text as JSON, which schemas describe.
fn document(name: &str, text: &str) -> Value {
    let mut diagnostics = Diagnostics::new();
    let node = yaml::parse(name, text, &mut diagnostics);
    json_of(&node.unwrap_or_else(|| panic!("{diagnostics}")))
}

fn json_of(node: &yaml::Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Seq(items) => items.iter().map(json_of).collect(),
        yaml::Value::Map(entries) => {
            let members = entries
                .iter()
                .map(|entry| (entry.key.clone(), json_of(&entry.value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        yaml::Value::Scalar(scalar) => match scalar.resolve() {
            Plain::Null => Value::Null,
            Plain::Bool(value) => json!(value),
            Plain::Int(value) => json!(i64::try_from(value).unwrap()),
            Plain::Float(value) => json!(value),
            Plain::Text(text) => json!(text),
        },
    }
}

//! Tests of the manifests in `deploy/kubernetes/`.

use std::{path::PathBuf, process::Command};

use betanet_collector::yaml::{Diagnostics, Node, parse};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    command::{run_in, yaml_files},
    source::root,
};

const FOLDER: &str = "deploy/kubernetes";

fn manifest(name: &str) -> Node {
    let path = root().join(FOLDER).join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let mut diagnostics = Diagnostics::new();
    let node = parse(name, &text, &mut diagnostics);
    node.unwrap_or_else(|| panic!("{diagnostics}"))
}

fn text<'n>(node: &'n Node, path: &[&str]) -> &'n str {
    let found = node.at(path).and_then(Node::text);
    found.unwrap_or_else(|| panic!("nothing at {path:?}"))
}

fn container(stateful_set: &Node) -> &Node {
    let path = ["spec", "template", "spec", "containers", "0"];
    stateful_set.at(&path).unwrap()
}

/// The value of an environment variable of the container.
fn variable<'n>(stateful_set: &'n Node, name: &str) -> &'n str {
    let variables = container(stateful_set).get("env").unwrap().items();
    let named = variables.iter().find(|v| text(v, &["name"]) == name);
    text(named.unwrap(), &["value"])
}

#[test]
fn the_configuration_in_the_config_map_is_valid_for_every_pod() {
    let (config_map, stateful_set) = (manifest("configmap.yaml"), manifest("statefulset.yaml"));
    let folder = TempDir::new().unwrap();
    let config = text(&config_map, &["data", "otel-config.yaml"]);
    std::fs::write(folder.path().join("otel-config.yaml"), config).unwrap();
    let count = variable(&stateful_set, "SHARD_COUNT");
    assert_eq!(count, text(&stateful_set, &["spec", "replicas"]));
    let replicas: u32 = count.parse().unwrap();
    let validate = |pod: u32| {
        let name = format!("{}-{pod}", text(&stateful_set, &["metadata", "name"]));
        let environment = [("POD_NAME", name.as_str()), ("SHARD_COUNT", count)];
        let arguments = ["validate", "--config", "otel-config.yaml"];
        run_in(folder.path(), &arguments, &environment)
    };
    for pod in 0..replicas {
        let output = validate(pod);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    }
    assert_eq!(validate(replicas).code, Some(1), "one pod too many");
}

/// The overlays replace the configuration.
#[test]
fn the_configurations_of_the_overlays_are_valid() {
    for overlay in ["allocator", "discovery"] {
        let config_map = manifest(&format!("../kubernetes-{overlay}/configmap.patch.yaml"));
        let folder = TempDir::new().unwrap();
        let config = text(&config_map, &["data", "otel-config.yaml"]);
        std::fs::write(folder.path().join("otel-config.yaml"), config).unwrap();
        let arguments = ["validate", "--config", "otel-config.yaml"];
        let output = run_in(
            folder.path(),
            &arguments,
            &[("POD_NAME", "betanet-collector-0")],
        );
        let said = (output.code, output.stderr.as_str());
        assert_eq!(said, (Some(0), ""), "{overlay}");
    }
}

/// Without a selector that matches the collectors, the allocator gives targets to every Pod.
#[test]
fn the_allocator_selects_the_collectors() {
    let path = root().join("deploy/kubernetes-allocator/allocator.yaml");
    let documents = std::fs::read_to_string(path).unwrap();
    let mut documents = documents.split("\n---\n");
    let config_map = documents
        .find(|text| text.contains("kind: ConfigMap"))
        .unwrap();
    let mut diagnostics = Diagnostics::new();
    let config_map = parse("allocator.yaml", config_map, &mut diagnostics).unwrap();
    let config = text(&config_map, &["data", "targetallocator.yaml"]);
    let config = parse("targetallocator.yaml", config, &mut diagnostics).unwrap();
    let selector = config.at(&["collector_selector", "matchlabels"]).unwrap();
    let stateful_set = manifest("statefulset.yaml");
    let labels = ["spec", "template", "metadata", "labels"];
    let labels = stateful_set.at(&labels).unwrap();
    assert_eq!(selector.entries().len(), 1);
    for label in selector.entries() {
        assert_eq!(
            labels.get(&label.key).and_then(Node::text),
            label.value.text()
        );
    }
}

#[test]
fn everything_that_the_manifests_reference_exists() {
    let stateful_set = manifest("statefulset.yaml");
    let container = container(&stateful_set);
    let ports = container.get("ports").unwrap().items();
    let ports: Vec<_> = ports.iter().map(|port| text(port, &["name"])).collect();
    let service = manifest("service.yaml");
    for port in service.at(&["spec", "ports"]).unwrap().items() {
        assert!(ports.contains(&text(port, &["targetPort"])));
    }
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert!(ports.contains(&text(container, &[probe, "httpGet", "port"])));
    }
    let monitor = manifest("servicemonitor.yaml");
    let service_ports = service.at(&["spec", "ports"]).unwrap().items();
    let service_ports: Vec<_> = service_ports.iter().map(|p| text(p, &["name"])).collect();
    for endpoint in monitor.at(&["spec", "endpoints"]).unwrap().items() {
        assert!(service_ports.contains(&text(endpoint, &["port"])));
    }
    let kustomization = manifest("kustomization.yaml");
    let listed = kustomization.get("resources").unwrap().items();
    let mut listed: Vec<_> = listed.iter().filter_map(Node::text).collect();
    listed.sort_unstable();
    let files = yaml_files(FOLDER);
    let files: Vec<_> = files
        .iter()
        .map(|f| f.file_name().unwrap().to_str().unwrap())
        .collect();
    let others: Vec<_> = files
        .into_iter()
        .filter(|f| *f != "kustomization.yaml")
        .collect();
    assert_eq!(listed, others);
}

/// The used parts of the ServiceMonitor's definition (monitoring.coreos.com/v1).
fn service_monitor_schema() -> Value {
    let labels = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let duration = json!({
        "type": "string",
        "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$"
    });
    let endpoint = json!({
        "type": "object",
        "properties": {"port": {"type": "string"}, "interval": duration},
        "additionalProperties": false
    });
    let spec = json!({
        "type": "object",
        "required": ["endpoints", "selector"],
        "properties": {
            "selector": {
                "type": "object",
                "properties": {"matchLabels": labels},
                "additionalProperties": false
            },
            "endpoints": {"type": "array", "items": endpoint}
        },
        "additionalProperties": false
    });
    json!({
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": "monitoring.coreos.com/v1"},
            "kind": {"const": "ServiceMonitor"},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "labels": labels},
                "additionalProperties": false
            },
            "spec": spec
        },
        "additionalProperties": false
    })
}

fn to_json(node: &Node) -> Value {
    if let Some(text) = node.text() {
        return Value::from(text);
    }
    if node.items().is_empty() {
        let entries = node.entries().iter();
        return entries
            .map(|e| (e.key.clone(), to_json(&e.value)))
            .collect();
    }
    node.items().iter().map(to_json).collect()
}

#[test]
fn the_service_monitor_matches_its_schema() {
    let schema = jsonschema::validator_for(&service_monitor_schema()).unwrap();
    let monitor = to_json(&manifest("servicemonitor.yaml"));
    let mistakes: Vec<_> = schema
        .iter_errors(&monitor)
        .map(|e| e.to_string())
        .collect();
    assert_eq!(mistakes, Vec::<String>::new());
}

#[test]
#[ignore = "needs kubernetes-validate: run tests/run"]
fn the_manifests_match_the_schemas_of_kubernetes() {
    let is_core = |path: &PathBuf| {
        let name = path.file_name().unwrap();
        name != "kustomization.yaml" && name != "servicemonitor.yaml"
    };
    let files = yaml_files(FOLDER).into_iter().filter(is_core);
    let others = [
        "kubernetes-allocator/allocator.yaml",
        "kubernetes-discovery/rbac.yaml",
    ];
    let files = files.chain(others.map(|file| root().join("deploy").join(file)));
    let packages = std::env::var("BETANET_E2E_KUBERNETES_VALIDATE").unwrap_or_default();
    let output = Command::new("python3")
        .args(["-m", "kubernetes_validate", "--strict", "-k", "1.32"])
        .args(files)
        .env("PYTHONPATH", packages)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaints}; run tests/run");
    assert_eq!(
        format!("{said}{complaints}").matches(" passed ").count(),
        14,
        "{said}{complaints}"
    );
}

//! Tests of the Helm chart, and of the overlays of the manifests. `tests/helm/run` fetches Helm and
//! runs these tests.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use betanet_collector::yaml::{Diagnostics, Node, parse};
use tempfile::TempDir;

use crate::support::{
    command::{run_in, yaml_files},
    source::root,
};

const CHART: &str = "deploy/helm/betanet-collector";
const RELEASE: &str = "test";

/// The documents that the chart makes of some values.
struct Rendered {
    /// One a document, with its text.
    documents: Vec<(Node, String)>,
}

fn helm(arguments: &[&str]) -> Output {
    let program = std::env::var("BETANET_E2E_HELM")
        .unwrap_or_else(|_| panic!("BETANET_E2E_HELM names no helm; run tests/helm/run"));
    let mut command = Command::new(&program);
    let output = command.args(arguments).current_dir(root()).output();
    output.unwrap_or_else(|error| panic!("cannot start `{program}`: {error}"))
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

/// The sets of values, of which there are more than six.
fn sets() -> Vec<PathBuf> {
    let sets = yaml_files(&format!("{CHART}/ci"));
    assert!(sets.len() >= 6, "{sets:?}");
    sets
}

fn render(values: &Path) -> Rendered {
    let values = values.to_str().unwrap();
    let output = helm(&[
        "template",
        RELEASE,
        CHART,
        "--namespace",
        "betanet",
        "--kube-version",
        "1.34.0",
        "--values",
        values,
    ]);
    assert!(output.status.success(), "{values}: {}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let documents = text
        .split("\n---\n")
        .map(|text| text.trim_start_matches("---\n"));
    let documents = documents.filter_map(|text| {
        let mut diagnostics = Diagnostics::new();
        let node = parse("rendered.yaml", text, &mut diagnostics);
        let node = node.unwrap_or_else(|| panic!("{values}: {diagnostics}\n{text}"));
        (!node.is_null()).then(|| (node, text.to_owned()))
    });
    Rendered {
        documents: documents.collect(),
    }
}

impl Rendered {
    fn of_kind(&self, kind: &str) -> Vec<&Node> {
        let documents = self.documents.iter().map(|(node, _)| node);
        documents
            .filter(|node| text(node, &["kind"]) == kind)
            .collect()
    }

    fn config_map(&self, suffix: &str) -> Option<&Node> {
        let name = format!("{RELEASE}-betanet-collector{suffix}");
        let mut maps = self.of_kind("ConfigMap").into_iter();
        maps.find(|map| text(map, &["metadata", "name"]) == name)
    }
}

fn text<'n>(node: &'n Node, path: &[&str]) -> &'n str {
    let found = node.at(path).and_then(Node::text);
    found.unwrap_or_else(|| panic!("nothing at {path:?}"))
}

#[test]
#[ignore = "needs helm: run tests/helm/run"]
fn helm_chart_passes_lint_with_each_set_of_values() {
    for values in sets() {
        let output = helm(&[
            "lint",
            "--strict",
            CHART,
            "--values",
            values.to_str().unwrap(),
        ]);
        assert!(
            output.status.success(),
            "{}: {}",
            values.display(),
            said(&output)
        );
    }
    for wrong in ["mode=cluster", "replicas=0", "kubernetes.role=pods"] {
        let output = helm(&["lint", CHART, "--set", wrong]);
        assert!(!output.status.success(), "{wrong} is refused");
    }
}

#[test]
#[ignore = "needs helm: run tests/helm/run"]
fn helm_chart_makes_objects_that_match_the_schemas_of_kubernetes() {
    let packages = std::env::var("BETANET_E2E_KUBERNETES_VALIDATE").expect("run tests/helm/run");
    let folder = TempDir::new().unwrap();
    let mut files = Vec::new();
    for values in sets() {
        let set = values.file_stem().unwrap().to_str().unwrap().to_owned();
        for (number, (node, text)) in render(&values).documents.iter().enumerate() {
            // A resource of the Prometheus Operator has no schema there.
            if self::text(node, &["kind"]) == "ServiceMonitor" {
                continue;
            }
            let file = folder.path().join(format!("{set}-{number}.yaml"));
            std::fs::write(&file, text).unwrap();
            files.push(file);
        }
    }
    for version in ["1.25", "1.34"] {
        let mut command = Command::new("python3");
        command.args(["-m", "kubernetes_validate", "--strict", "-k", version]);
        let output = command
            .args(&files)
            .env("PYTHONPATH", &packages)
            .output()
            .unwrap();
        let said = said(&output);
        assert!(output.status.success(), "{version}: {said}");
        assert_eq!(
            said.matches(" passed ").count(),
            files.len(),
            "{version}: {said}"
        );
    }
}

#[test]
#[ignore = "needs helm: run tests/helm/run"]
fn helm_chart_makes_a_configuration_that_the_collector_takes() {
    for values in sets() {
        let rendered = render(&values);
        let folder = TempDir::new().unwrap();
        let map = rendered.config_map("").unwrap();
        let config = text(map, &["data", "otel-config.yaml"]);
        // The queue of this machine.
        let state = folder.path().join("state");
        let config = config.replace("/var/lib/betanet-collector", state.to_str().unwrap());
        std::fs::create_dir(&state).unwrap();
        std::fs::write(folder.path().join("otel-config.yaml"), &config).unwrap();
        if let Some(definitions) = rendered.config_map("-definitions") {
            let pipelines = folder.path().join("pipelines");
            std::fs::create_dir(&pipelines).unwrap();
            for entry in definitions.get("data").unwrap().entries() {
                std::fs::write(pipelines.join(&entry.key), entry.value.text().unwrap()).unwrap();
            }
        }
        let environment = [
            ("POD_NAME", "test-betanet-collector-0"),
            ("SHARD_COUNT", "5"),
            ("OTLP_TOKEN", "x"),
        ];
        let arguments = ["validate", "--config", "otel-config.yaml"];
        let output = run_in(folder.path(), &arguments, &environment);
        let what = format!("{}\n{config}\n{}", values.display(), output.stderr);
        assert_eq!(
            (output.code, output.stderr.as_str()),
            (Some(0), ""),
            "{what}"
        );
    }
}

#[test]
#[ignore = "needs kubectl: run tests/helm/run"]
fn helm_chart_is_not_needed_the_overlays_match_the_schemas_too() {
    let kubectl = std::env::var("BETANET_E2E_KUBECTL").expect("run tests/helm/run");
    let packages = std::env::var("BETANET_E2E_KUBERNETES_VALIDATE").expect("run tests/helm/run");
    let folder = TempDir::new().unwrap();
    for (overlay, objects) in [("kubernetes-allocator", 12), ("kubernetes-discovery", 9)] {
        let mut command = Command::new(&kubectl);
        let built = command
            .arg("kustomize")
            .arg(root().join("deploy").join(overlay));
        let built = built.output().unwrap();
        assert!(built.status.success(), "{overlay}: {}", said(&built));
        let file = folder.path().join(format!("{overlay}.yaml"));
        std::fs::write(&file, built.stdout).unwrap();
        let mut command = Command::new("python3");
        command.args(["-m", "kubernetes_validate", "--strict", "-k", "1.34"]);
        let output = command
            .arg(&file)
            .env("PYTHONPATH", &packages)
            .output()
            .unwrap();
        let said = said(&output);
        assert!(output.status.success(), "{overlay}: {said}");
        // A ServiceMonitor has no schema there.
        assert_eq!(
            said.matches(" passed ").count(),
            objects - 1,
            "{overlay}: {said}"
        );
    }
}

/// Every container is restricted, and no collector but one that watches has a token.
#[test]
#[ignore = "needs helm: run tests/helm/run"]
fn helm_chart_restricts_what_a_container_may_do() {
    for values in sets() {
        let rendered = render(&values);
        let sets = rendered.of_kind("StatefulSet").into_iter();
        for workload in sets.chain(rendered.of_kind("Deployment")) {
            let pod = workload.at(&["spec", "template", "spec"]).unwrap();
            assert_eq!(text(pod, &["securityContext", "runAsNonRoot"]), "true");
            let profile = ["securityContext", "seccompProfile", "type"];
            assert_eq!(text(pod, &profile), "RuntimeDefault");
            for container in pod.get("containers").unwrap().items() {
                let of = |key| text(container, &["securityContext", key]);
                assert_eq!(of("readOnlyRootFilesystem"), "true");
                assert_eq!(of("allowPrivilegeEscalation"), "false");
                let dropped = ["securityContext", "capabilities", "drop", "0"];
                assert_eq!(text(container, &dropped), "ALL");
                assert!(container.at(&["resources", "limits", "memory"]).is_some());
            }
        }
        let name = values.file_name().unwrap().to_str().unwrap();
        let watches = ["kubernetes-values.yaml", "endpointslice-values.yaml"].contains(&name);
        let set = rendered.of_kind("StatefulSet")[0];
        let token = ["spec", "template", "spec", "automountServiceAccountToken"];
        assert_eq!(text(set, &token), watches.to_string(), "{name}");
        let roles = rendered.of_kind("Role").into_iter();
        for role in roles.chain(rendered.of_kind("ClusterRole")) {
            for rule in role.get("rules").unwrap().items() {
                let verbs = rule.get("verbs").unwrap().items();
                let verbs: Vec<_> = verbs.iter().filter_map(Node::text).collect();
                assert_eq!(verbs, ["get", "list", "watch"]);
            }
        }
    }
}

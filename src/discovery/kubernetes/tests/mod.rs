//! What objects come to, compared with what Prometheus' documentation and tests say of the labels.

mod services;
mod slices;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    core::v1::{Endpoints, Namespace, Node, Pod, Service},
    discovery::v1::EndpointSlice,
    networking::v1::Ingress,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    config::{AttachMetadata, Role},
    objects::{ObjectKey, Record, Recorded},
    resource::Resource,
    store::{Store, TooLarge},
};

const NOTHING: AttachMetadata = AttachMetadata {
    node: false,
    namespace: false,
};
const ALL: AttachMetadata = AttachMetadata {
    node: true,
    namespace: true,
};

fn record<K: Recorded + DeserializeOwned>(object: &Value) -> Record {
    serde_json::from_value::<K>(object.clone())
        .unwrap()
        .record()
}

fn key(object: &Value) -> ObjectKey {
    let text = |name: &str| {
        object["metadata"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    ObjectKey {
        namespace: text("namespace"),
        name: text("name"),
    }
}

/// A cluster with these objects.
fn store(objects: &[Value]) -> Store {
    let mut store = Store::default();
    for object in objects {
        let (resource, record) = match object["kind"].as_str().unwrap() {
            "Pod" => (Resource::Pods, record::<Pod>(object)),
            "Service" => (Resource::Services, record::<Service>(object)),
            "Endpoints" => (Resource::Endpoints, record::<Endpoints>(object)),
            "EndpointSlice" => (Resource::EndpointSlices, record::<EndpointSlice>(object)),
            "Node" => (Resource::Nodes, record::<Node>(object)),
            "Ingress" => (Resource::Ingresses, record::<Ingress>(object)),
            "Namespace" => (Resource::Namespaces, record::<Namespace>(object)),
            other => panic!("{other}"),
        };
        store.put(resource, key(object), record).unwrap();
    }
    store
}

/// A target that was found.
#[derive(Debug, PartialEq)]
struct Found {
    address: String,
    labels: BTreeMap<String, String>,
}

/// The targets of a role.
fn found(store: &Store, role: Role, attach: AttachMetadata) -> Vec<Found> {
    let groups = store.groups(role, attach).unwrap();
    let targets = groups.iter().map(|group| Found {
        address: group.addresses[0].to_string(),
        labels: group.labels(),
    });
    targets.collect()
}

fn addresses(found: &[Found]) -> Vec<&str> {
    found.iter().map(|target| target.address.as_str()).collect()
}

/// `NAME` stands for `__meta_kubernetes_NAME`.
#[track_caller]
fn assert_target(found: &Found, address: &str, labels: &[(&str, &str)]) {
    let pairs = labels.iter().map(|(name, value)| {
        let name = match *name {
            "instance" => "instance".to_owned(),
            other => format!("__meta_kubernetes_{other}"),
        };
        (name, (*value).to_owned())
    });
    let expected: BTreeMap<String, String> = pairs.collect();
    assert_eq!(found.address, address);
    assert_eq!(found.labels, expected);
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "testpod", "namespace": "default", "uid": "abc123",
            "labels": {"test/pod-label": "testvalue"},
            "annotations": {"test.annotation": "x"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Other", "name": "no", "uid": "1"},
                {"apiVersion": "apps/v1", "kind": "testcontrollerkind",
                 "name": "testcontrollername", "uid": "2", "controller": true}
            ]
        },
        "spec": {
            "nodeName": "testnode",
            "containers": [
                {"name": "c1", "image": "c1:latest", "ports": [
                    {"name": "testport", "containerPort": 9000, "protocol": "TCP"},
                    {"name": "otherport", "containerPort": 9001, "protocol": "UDP"}]},
                {"name": "c2", "image": "c2:latest"}
            ],
            "initContainers": [
                {"name": "ic", "image": "ic:latest",
                 "ports": [{"name": "initport", "containerPort": 1111, "protocol": "TCP"}]}
            ]
        },
        "status": {
            "podIP": "1.2.3.4", "hostIP": "2.3.4.5", "phase": "Running",
            "conditions": [{"type": "Initialized", "status": "True"},
                           {"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "c1", "containerID": "docker://a1", "image": "c1:latest",
                 "imageID": "", "ready": true, "restartCount": 0}],
            "initContainerStatuses": [
                {"name": "ic", "containerID": "containerd://b2", "image": "ic:latest",
                 "imageID": "", "ready": true, "restartCount": 0}]
        }
    })
}

const OF_POD: [(&str, &str); 14] = [
    ("namespace", "default"),
    ("pod_name", "testpod"),
    ("pod_uid", "abc123"),
    ("pod_ip", "1.2.3.4"),
    ("pod_host_ip", "2.3.4.5"),
    ("pod_phase", "Running"),
    ("pod_ready", "true"),
    ("pod_node_name", "testnode"),
    ("pod_controller_kind", "testcontrollerkind"),
    ("pod_controller_name", "testcontrollername"),
    ("pod_label_test_pod_label", "testvalue"),
    ("pod_labelpresent_test_pod_label", "true"),
    ("pod_annotation_test_annotation", "x"),
    ("pod_annotationpresent_test_annotation", "true"),
];

#[test]
fn a_pod_has_a_target_for_each_port_of_each_container() {
    let found = found(&store(&[pod()]), Role::Pod, NOTHING);
    let with = |labels: &[(&'static str, &'static str)]| [&OF_POD[..], labels].concat();
    assert_eq!(found.len(), 4);
    assert_target(
        &found[0],
        "1.2.3.4:9000",
        &with(&[
            ("pod_container_name", "c1"),
            ("pod_container_image", "c1:latest"),
            ("pod_container_id", "docker://a1"),
            ("pod_container_init", "false"),
            ("pod_container_port_name", "testport"),
            ("pod_container_port_number", "9000"),
            ("pod_container_port_protocol", "TCP"),
        ]),
    );
    assert_eq!(found[1].address, "1.2.3.4:9001");
    // Without a declared port the address has none: a rule has to add it.
    assert_target(
        &found[2],
        "1.2.3.4",
        &with(&[
            ("pod_container_name", "c2"),
            ("pod_container_image", "c2:latest"),
            ("pod_container_init", "false"),
        ]),
    );
    assert_target(
        &found[3],
        "1.2.3.4:1111",
        &with(&[
            ("pod_container_name", "ic"),
            ("pod_container_image", "ic:latest"),
            ("pod_container_id", "containerd://b2"),
            ("pod_container_init", "true"),
            ("pod_container_port_name", "initport"),
            ("pod_container_port_number", "1111"),
            ("pod_container_port_protocol", "TCP"),
        ]),
    );
}

#[test]
fn a_pod_without_an_address_is_no_target_and_ipv6_stands_in_brackets() {
    let mut starting = pod();
    starting["status"] = json!({"phase": "Pending"});
    assert!(found(&store(&[starting]), Role::Pod, NOTHING).is_empty());
    let mut other = pod();
    other["status"]["podIP"] = json!("fd00::7");
    let found = found(&store(&[other]), Role::Pod, NOTHING);
    let expected = [
        "[fd00::7]:9000",
        "[fd00::7]:9001",
        "[fd00::7]",
        "[fd00::7]:1111",
    ];
    assert_eq!(addresses(&found), expected);
}

fn node() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "testnode",
                     "labels": {"test-label": "testvalue"},
                     "annotations": {"test-annotation": "x"}},
        "spec": {"providerID": "aws:///nodes/1"},
        "status": {
            "addresses": [{"type": "ExternalIP", "address": "9.9.9.9"},
                          {"type": "InternalIP", "address": "1.2.3.4"},
                          {"type": "InternalIP", "address": "1.2.3.5"},
                          {"type": "Hostname", "address": "host"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}
        }
    })
}

fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace",
           "metadata": {"name": "default", "labels": {"team": "backend"},
                        "annotations": {"owner": "platform"}}})
}

const OF_NAMESPACE: [(&str, &str); 4] = [
    ("namespace_label_team", "backend"),
    ("namespace_labelpresent_team", "true"),
    ("namespace_annotation_owner", "platform"),
    ("namespace_annotationpresent_owner", "true"),
];

#[test]
fn a_node_is_a_target_at_its_kubelet() {
    let mut without_address = node();
    without_address["metadata"]["name"] = json!("other");
    without_address["status"] = json!({});
    let found = found(&store(&[node(), without_address]), Role::Node, ALL);
    assert_eq!(found.len(), 1);
    assert_target(
        &found[0],
        "1.2.3.4:10250",
        &[
            ("instance", "testnode"),
            ("node_name", "testnode"),
            ("node_provider_id", "aws:///nodes/1"),
            ("node_label_test_label", "testvalue"),
            ("node_labelpresent_test_label", "true"),
            ("node_annotation_test_annotation", "x"),
            ("node_annotationpresent_test_annotation", "true"),
            ("node_address_InternalIP", "1.2.3.4"),
            ("node_address_ExternalIP", "9.9.9.9"),
            ("node_address_Hostname", "host"),
        ],
    );
}

#[test]
fn a_target_gets_the_labels_of_its_node_and_namespace_where_they_are_asked_for() {
    let cluster = store(&[pod(), node(), namespace()]);
    let plain = &found(&cluster, Role::Pod, NOTHING)[2];
    let attached = &found(&cluster, Role::Pod, ALL)[2];
    let of_both = [
        &OF_NAMESPACE[..],
        &[
            ("node_name", "testnode"),
            ("node_label_test_label", "testvalue"),
            ("node_labelpresent_test_label", "true"),
        ],
    ];
    let mut expected = plain.labels.clone();
    let of_both = of_both.concat().into_iter();
    expected.extend(of_both.map(|(n, v)| (format!("__meta_kubernetes_{n}"), v.to_owned())));
    assert_eq!(attached.labels, expected);
}

fn service(spec: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "testservice", "namespace": "default",
                     "labels": {"test-label": "testvalue"},
                     "annotations": {"test-annotation": "x"}},
        "spec": spec
    })
}

const OF_SERVICE: [(&str, &str); 5] = [
    ("service_name", "testservice"),
    ("service_label_test_label", "testvalue"),
    ("service_labelpresent_test_label", "true"),
    ("service_annotation_test_annotation", "x"),
    ("service_annotationpresent_test_annotation", "true"),
];

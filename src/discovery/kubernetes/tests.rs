//! What objects come to, compared with what Prometheus' documentation and tests say of the labels.

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

#[test]
fn a_service_has_a_target_for_each_port() {
    let port = json!([{"name": "testport", "port": 30900, "protocol": "TCP"}]);
    let of_port: [(&str, &str); 4] = [
        ("namespace", "default"),
        ("service_port_name", "testport"),
        ("service_port_number", "30900"),
        ("service_port_protocol", "TCP"),
    ];
    for (spec, labels) in [
        (
            json!({"type": "ClusterIP", "clusterIP": "10.0.0.1", "ports": port}),
            vec![
                ("service_type", "ClusterIP"),
                ("service_cluster_ip", "10.0.0.1"),
            ],
        ),
        (
            json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1", "ports": port,
                   "loadBalancerIP": "127.0.0.1"}),
            vec![
                ("service_type", "LoadBalancer"),
                ("service_cluster_ip", "10.0.0.1"),
                ("service_loadbalancer_ip", "127.0.0.1"),
            ],
        ),
        (
            json!({"type": "ExternalName", "externalName": "example.com", "ports": port}),
            vec![
                ("service_type", "ExternalName"),
                ("service_external_name", "example.com"),
            ],
        ),
    ] {
        let cluster = store(&[service(spec), namespace()]);
        let found = found(&cluster, Role::Service, ALL);
        let expected = [&OF_SERVICE[..], &of_port, &OF_NAMESPACE, &labels].concat();
        assert_eq!(found.len(), 1);
        assert_target(&found[0], "testservice.default.svc:30900", &expected);
    }
}

#[test]
fn an_ingress_has_a_target_for_each_path_of_each_host() {
    let path = |path: Value| {
        json!({"path": path, "pathType": "Prefix",
               "backend": {"service": {"name": "s", "port": {"number": 1}}}})
    };
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "testingress", "namespace": "default",
                     "labels": {"test/label": "testvalue"}},
        "spec": {
            "ingressClassName": "testclass",
            "tls": [{"hosts": ["*.example.com"]}],
            "rules": [
                {"host": "test.example.com", "http": {"paths": [path(json!("/")), path(json!("/foo"))]}},
                {"host": "nopath.example.org"}
            ]
        }
    });
    let found = found(&store(&[ingress]), Role::Ingress, NOTHING);
    let of_ingress = [
        ("namespace", "default"),
        ("ingress_name", "testingress"),
        ("ingress_class_name", "testclass"),
        ("ingress_label_test_label", "testvalue"),
        ("ingress_labelpresent_test_label", "true"),
    ];
    let expected = [
        ("test.example.com", "https", "/"),
        ("test.example.com", "https", "/foo"),
        ("nopath.example.org", "http", "/"),
    ];
    assert_eq!(found.len(), expected.len());
    for (found, (host, scheme, path)) in found.iter().zip(expected) {
        let own = [
            ("ingress_host", host),
            ("ingress_scheme", scheme),
            ("ingress_path", path),
        ];
        assert_target(found, host, &[&of_ingress[..], &own].concat());
    }
}

fn slice() -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "testservice-x", "namespace": "default",
                     "labels": {"kubernetes.io/service-name": "testservice"}},
        "addressType": "IPv4",
        "ports": [{"name": "testport", "port": 9000, "protocol": "TCP", "appProtocol": "http"}],
        "endpoints": [
            {"addresses": ["1.2.3.4"], "hostname": "testendpoint1", "nodeName": "testnode",
             "zone": "us-east-1a",
             "conditions": {"ready": true, "serving": true, "terminating": false},
             "targetRef": {"kind": "Pod", "namespace": "default", "name": "testpod"}},
            {"addresses": ["4.5.6.7"], "conditions": {"ready": false},
             "targetRef": {"kind": "Node", "name": "testnode"}},
            {"addresses": ["2.3.4.5"], "conditions": {},
             "deprecatedTopology": {"topology.kubernetes.io/zone": "z"}}
        ]
    })
}

const OF_SLICE: [(&str, &str); 5] = [
    ("namespace", "default"),
    ("endpointslice_name", "testservice-x"),
    ("endpointslice_address_type", "IPv4"),
    (
        "endpointslice_label_kubernetes_io_service_name",
        "testservice",
    ),
    (
        "endpointslice_labelpresent_kubernetes_io_service_name",
        "true",
    ),
];
const OF_SLICE_PORT: [(&str, &str); 4] = [
    ("endpointslice_port", "9000"),
    ("endpointslice_port_name", "testport"),
    ("endpointslice_port_protocol", "TCP"),
    ("endpointslice_port_app_protocol", "http"),
];

const OF_NODE: [(&str, &str); 3] = [
    ("node_name", "testnode"),
    ("node_label_test_label", "testvalue"),
    ("node_labelpresent_test_label", "true"),
];
const OF_CONTAINER: [(&str, &str); 6] = [
    ("pod_container_name", "c1"),
    ("pod_container_image", "c1:latest"),
    ("pod_container_init", "false"),
    ("pod_container_port_name", "testport"),
    ("pod_container_port_number", "9000"),
    ("pod_container_port_protocol", "TCP"),
];
const OF_ENDPOINT: [(&str, &str); 8] = [
    ("endpointslice_endpoint_hostname", "testendpoint1"),
    ("endpointslice_endpoint_node_name", "testnode"),
    ("endpointslice_endpoint_zone", "us-east-1a"),
    ("endpointslice_endpoint_conditions_ready", "true"),
    ("endpointslice_endpoint_conditions_serving", "true"),
    ("endpointslice_endpoint_conditions_terminating", "false"),
    ("endpointslice_address_target_kind", "Pod"),
    ("endpointslice_address_target_name", "testpod"),
];
const OF_OTHER_PORT: [(&str, &str); 6] = [
    ("pod_container_name", "c1"),
    ("pod_container_image", "c1:latest"),
    ("pod_container_init", "false"),
    ("pod_container_port_name", "otherport"),
    ("pod_container_port_number", "9001"),
    ("pod_container_port_protocol", "UDP"),
];

#[test]
fn a_slice_has_a_target_for_each_address_with_the_labels_of_its_service_pod_and_node() {
    let of_service = service(json!({"ports": []}));
    let cluster = store(&[slice(), of_service, pod(), node()]);
    let found = found(
        &cluster,
        Role::EndpointSlice,
        AttachMetadata {
            node: true,
            namespace: false,
        },
    );
    let base = [&OF_SLICE[..], &OF_SERVICE].concat();
    // The last two are ports that the Pod declares and its Service does not name.
    let expected = [
        "1.2.3.4:9000",
        "4.5.6.7:9000",
        "2.3.4.5:9000",
        "1.2.3.4:9001",
        "1.2.3.4:1111",
    ];
    assert_eq!(addresses(&found), expected);
    let of_pod = &OF_POD[1..];
    let all = [
        &base[..],
        &OF_SLICE_PORT,
        of_pod,
        &OF_NODE,
        &OF_CONTAINER,
        &OF_ENDPOINT,
    ]
    .concat();
    assert_target(&found[0], "1.2.3.4:9000", &all);
    let own = [
        ("endpointslice_endpoint_conditions_ready", "false"),
        ("endpointslice_address_target_kind", "Node"),
        ("endpointslice_address_target_name", "testnode"),
    ];
    let all = [&base[..], &OF_SLICE_PORT, &OF_NODE, &own].concat();
    assert_target(&found[1], "4.5.6.7:9000", &all);
    let own = [
        (
            "endpointslice_endpoint_topology_topology_kubernetes_io_zone",
            "z",
        ),
        (
            "endpointslice_endpoint_topology_present_topology_kubernetes_io_zone",
            "true",
        ),
    ];
    let all = [&base[..], &OF_SLICE_PORT, &own].concat();
    assert_target(&found[2], "2.3.4.5:9000", &all);
    let all = [&base[..], of_pod, &OF_OTHER_PORT].concat();
    assert_target(&found[3], "1.2.3.4:9001", &all);
}

#[test]
fn endpoints_have_a_target_for_each_address_ready_or_not() {
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "testservice", "namespace": "default", "labels": {"a": "b"}},
        "subsets": [{
            "ports": [{"name": "testport", "port": 9000, "protocol": "TCP"}],
            "addresses": [{"ip": "1.2.3.4", "hostname": "testendpoint1", "nodeName": "foobar"}],
            "notReadyAddresses": [{"ip": "2.3.4.5",
                                   "targetRef": {"kind": "Node", "name": "barbaz"}}]
        }]
    });
    let cluster = store(&[endpoints, service(json!({"ports": []}))]);
    let found = found(&cluster, Role::Endpoints, NOTHING);
    let base = [
        ("namespace", "default"),
        ("endpoints_name", "testservice"),
        ("endpoints_label_a", "b"),
        ("endpoints_labelpresent_a", "true"),
        ("endpoint_port_name", "testport"),
        ("endpoint_port_protocol", "TCP"),
    ];
    let base = [&base[..], &OF_SERVICE].concat();
    assert_eq!(found.len(), 2);
    let own = [
        ("endpoint_ready", "true"),
        ("endpoint_hostname", "testendpoint1"),
        ("endpoint_node_name", "foobar"),
    ];
    assert_target(&found[0], "1.2.3.4:9000", &[&base[..], &own].concat());
    let own = [
        ("endpoint_ready", "false"),
        ("endpoint_address_target_kind", "Node"),
        ("endpoint_address_target_name", "barbaz"),
    ];
    assert_target(&found[1], "2.3.4.5:9000", &[&base[..], &own].concat());
}

#[test]
fn a_list_forgets_what_it_does_not_name_in_its_own_namespace_only() {
    let in_namespace = |namespace: &str, name: &str| {
        let mut pod = pod();
        pod["metadata"]["namespace"] = json!(namespace);
        pod["metadata"]["name"] = json!(name);
        pod
    };
    let (stays, goes) = (in_namespace("a", "stays"), in_namespace("a", "goes"));
    let other = in_namespace("b", "other");
    let mut cluster = store(&[stays.clone(), goes, other]);
    let seen = BTreeSet::from([key(&stays)]);
    cluster.keep(Resource::Pods, Some("a"), &seen);
    let names = |cluster: &Store| {
        let found = found(cluster, Role::Pod, NOTHING).into_iter();
        let names = found.map(|target| target.labels["__meta_kubernetes_pod_name"].clone());
        names.collect::<BTreeSet<_>>()
    };
    assert_eq!(
        names(&cluster),
        BTreeSet::from(["other", "stays"].map(str::to_owned))
    );
    cluster.keep(Resource::Pods, None, &seen);
    assert_eq!(names(&cluster), BTreeSet::from(["stays".to_owned()]));
}

#[test]
fn objects_and_targets_take_a_bounded_amount_of_memory() {
    let mut large = pod();
    let value = "x".repeat(1 << 20);
    large["metadata"]["annotations"] = json!({ "large": value });
    let mut store = Store::new(8 << 20);
    let put = |store: &mut Store, number: usize| {
        let mut named = large.clone();
        named["metadata"]["name"] = json!(number.to_string());
        store.put(Resource::Pods, key(&named), record::<Pod>(&named))
    };
    let most = 8;
    let refused = (0..=most).find(|number| put(&mut store, *number).is_err());
    let refused = refused.expect("not more than the limit");
    assert!(refused > most - 2, "{refused}");
    // Each has four targets, which repeat its labels.
    assert_eq!(store.groups(Role::Pod, NOTHING), Err(TooLarge));
    // What goes makes room; what is replaced takes none.
    store.remove(
        Resource::Pods,
        &ObjectKey {
            namespace: "default".to_owned(),
            name: "0".to_owned(),
        },
    );
    assert_eq!(put(&mut store, 1), Ok(()));
    assert_eq!(put(&mut store, refused), Ok(()));
    assert_eq!(put(&mut store, refused + 1), Err(TooLarge));
}

//! Endpoints of services: slices, and the older lists.

use super::*;

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

//! Services and ingresses.

use super::*;

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

//! Endpoints and EndpointSlices: a target for each port of each address. The labels of the Service,
//! the Pods and the Nodes join them later, because these objects come by themselves.

use k8s_openapi::api::{
    core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference},
    discovery::v1::{self as discovery, Endpoint, EndpointSlice},
};

use super::{FoundTarget, ObjectKey, Record, Recorded};
use crate::discovery::kubernetes::labels::{MetaLabels, host_port, sanitized};

/// The label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What is kept of an Endpoints object or an EndpointSlice.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::discovery::kubernetes) struct BackendSet {
    pub(in crate::discovery::kubernetes) labels: MetaLabels,
    /// The name of its Service.
    pub(in crate::discovery::kubernetes) service: Option<String>,
    pub(in crate::discovery::kubernetes) backends: Vec<Backend>,
}

/// One port of one address.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::discovery::kubernetes) struct Backend {
    pub(in crate::discovery::kubernetes) target: FoundTarget,
    pub(in crate::discovery::kubernetes) port: Option<i32>,
    /// The Pod behind it, if it is one.
    pub(in crate::discovery::kubernetes) pod: Option<ObjectKey>,
    /// The Node that it is, or runs on.
    pub(in crate::discovery::kubernetes) node: Option<String>,
}

impl Recorded for EndpointSlice {
    fn record(&self) -> Record {
        let (metadata, mut labels) = (&self.metadata, MetaLabels::default());
        labels.set_some("namespace", metadata.namespace.as_ref());
        labels.set_some("endpointslice_name", metadata.name.as_ref());
        labels.set("endpointslice_address_type", &self.address_type);
        labels.set_metadata("endpointslice", metadata);
        let of_labels = metadata.labels.as_ref();
        let mut backends = Vec::new();
        for endpoint in &self.endpoints {
            for port in self.ports.iter().flatten() {
                for address in &endpoint.addresses {
                    backends.push(slice_backend(address, endpoint, port));
                }
            }
        }
        Record::Backends(BackendSet {
            labels,
            service: of_labels.and_then(|of| of.get(SERVICE_NAME).cloned()),
            backends,
        })
    }
}

fn slice_backend(address: &str, endpoint: &Endpoint, port: &discovery::EndpointPort) -> Backend {
    let mut labels = MetaLabels::default();
    labels.set_some("endpointslice_port", port.port);
    labels.set_some("endpointslice_port_name", port.name.as_ref());
    labels.set_some("endpointslice_port_protocol", port.protocol.as_ref());
    labels.set_some(
        "endpointslice_port_app_protocol",
        port.app_protocol.as_ref(),
    );
    labels.set_some(
        "endpointslice_endpoint_hostname",
        endpoint.hostname.as_ref(),
    );
    labels.set_some(
        "endpointslice_endpoint_node_name",
        endpoint.node_name.as_ref(),
    );
    labels.set_some("endpointslice_endpoint_zone", endpoint.zone.as_ref());
    if let Some(conditions) = &endpoint.conditions {
        for (name, is_met) in [
            ("ready", conditions.ready),
            ("serving", conditions.serving),
            ("terminating", conditions.terminating),
        ] {
            labels.set_some(&format!("endpointslice_endpoint_conditions_{name}"), is_met);
        }
    }
    for (key, value) in endpoint.deprecated_topology.iter().flatten() {
        let key = sanitized(key);
        labels.set(&format!("endpointslice_endpoint_topology_{key}"), value);
        let present = format!("endpointslice_endpoint_topology_present_{key}");
        labels.set(&present, "true");
    }
    let target = endpoint.target_ref.as_ref();
    set_reference(&mut labels, "endpointslice_address_target", target);
    let address = match port.port {
        Some(port) => host_port(address, port),
        None => address.to_owned(),
    };
    Backend {
        target: FoundTarget { address, labels },
        port: port.port,
        pod: pod(target),
        node: node(target).or_else(|| endpoint.node_name.clone()),
    }
}

impl Recorded for Endpoints {
    fn record(&self) -> Record {
        let (metadata, mut labels) = (&self.metadata, MetaLabels::default());
        labels.set_some("namespace", metadata.namespace.as_ref());
        labels.set_some("endpoints_name", metadata.name.as_ref());
        labels.set_metadata("endpoints", metadata);
        let subsets = self.subsets.iter().flatten();
        Record::Backends(BackendSet {
            labels,
            service: metadata.name.clone(),
            backends: subsets.flat_map(subset_backends).collect(),
        })
    }
}

fn subset_backends(subset: &EndpointSubset) -> Vec<Backend> {
    let mut backends = Vec::new();
    for port in subset.ports.iter().flatten() {
        for address in subset.addresses.iter().flatten() {
            backends.push(endpoints_backend(address, port, true));
        }
        for address in subset.not_ready_addresses.iter().flatten() {
            backends.push(endpoints_backend(address, port, false));
        }
    }
    backends
}

fn endpoints_backend(address: &EndpointAddress, port: &EndpointPort, is_ready: bool) -> Backend {
    let mut labels = MetaLabels::default();
    labels.set_some("endpoint_port_name", port.name.as_ref());
    labels.set_some("endpoint_port_protocol", port.protocol.as_ref());
    labels.set("endpoint_ready", is_ready.to_string());
    labels.set_some("endpoint_node_name", address.node_name.as_ref());
    labels.set_some("endpoint_hostname", address.hostname.as_ref());
    let target = address.target_ref.as_ref();
    set_reference(&mut labels, "endpoint_address_target", target);
    Backend {
        target: FoundTarget {
            address: host_port(&address.ip, port.port),
            labels,
        },
        port: Some(port.port),
        pod: pod(target),
        node: node(target).or_else(|| address.node_name.clone()),
    }
}

fn set_reference(labels: &mut MetaLabels, prefix: &str, target: Option<&ObjectReference>) {
    if let Some(target) = target {
        labels.set_some(&format!("{prefix}_kind"), target.kind.as_ref());
        labels.set_some(&format!("{prefix}_name"), target.name.as_ref());
    }
}

/// The Pod that is referred to.
fn pod(target: Option<&ObjectReference>) -> Option<ObjectKey> {
    let target = target.filter(|target| target.kind.as_deref() == Some("Pod"))?;
    Some(ObjectKey {
        namespace: target.namespace.clone().unwrap_or_default(),
        name: target.name.clone()?,
    })
}

/// The Node that is referred to.
fn node(target: Option<&ObjectReference>) -> Option<String> {
    let target = target.filter(|target| target.kind.as_deref() == Some("Node"))?;
    target.name.clone()
}

impl BackendSet {
    pub(super) fn size_bytes(&self) -> usize {
        let backends = self.backends.iter();
        let backends = backends.map(|of| {
            let pod = of.pod.as_ref();
            let pod = pod.map_or(0, |key| key.namespace.len() + key.name.len());
            let node = of.node.as_ref().map_or(0, String::len);
            of.target.address.len() + of.target.labels.size_bytes() + pod + node + 128
        });
        self.labels.size_bytes() + backends.sum::<usize>()
    }
}

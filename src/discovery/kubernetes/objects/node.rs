//! Nodes: a target each, at the port of its kubelet.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;

use super::{FoundTarget, PlainRecord, Record, Recorded};
use crate::discovery::kubernetes::labels::{MetaLabels, host_port, sanitized};

/// Which address of a Node is taken, best first.
const PREFERRED: [&str; 6] = [
    "InternalIP",
    "InternalDNS",
    "ExternalIP",
    "ExternalDNS",
    "LegacyHostIP",
    "Hostname",
];

impl Recorded for Node {
    fn record(&self) -> Record {
        let (name, mut labels) = (self.metadata.name.as_ref(), MetaLabels::default());
        labels.set_some("node_name", name);
        let spec = self.spec.as_ref();
        labels.set_some(
            "node_provider_id",
            spec.and_then(|s| s.provider_id.as_ref()),
        );
        labels.set_metadata("node", &self.metadata);
        Record::Plain(PlainRecord {
            labels,
            targets: target(self).into_iter().collect(),
        })
    }
}

/// None while it has no address.
fn target(node: &Node) -> Option<FoundTarget> {
    let status = node.status.as_ref()?;
    // Of several addresses of a kind the first counts.
    let mut addresses = BTreeMap::new();
    for address in status.addresses.iter().flatten() {
        addresses
            .entry(address.type_.as_str())
            .or_insert(address.address.as_str());
    }
    let host = PREFERRED.iter().find_map(|kind| addresses.get(kind))?;
    let kubelet = status.daemon_endpoints.as_ref();
    let kubelet = kubelet.and_then(|of| of.kubelet_endpoint.as_ref());
    let mut labels = MetaLabels::default();
    for (kind, address) in &addresses {
        labels.set(&format!("node_address_{}", sanitized(kind)), *address);
    }
    let name = node.metadata.name.clone().unwrap_or_default();
    labels.0.insert("instance".to_owned(), name);
    Some(FoundTarget {
        address: host_port(host, kubelet.map_or(0, |of| of.port)),
        labels,
    })
}

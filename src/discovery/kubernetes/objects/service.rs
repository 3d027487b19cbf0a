//! Services: a target for each port, by its name in the DNS of the cluster.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::{FoundTarget, PlainRecord, Record, Recorded};
use crate::discovery::kubernetes::labels::{MetaLabels, host_port};

impl Recorded for Service {
    fn record(&self) -> Record {
        let (metadata, mut labels) = (&self.metadata, MetaLabels::default());
        labels.set_some("service_name", metadata.name.as_ref());
        labels.set_some("namespace", metadata.namespace.as_ref());
        labels.set_metadata("service", metadata);
        let host = format!(
            "{}.{}.svc",
            metadata.name.as_deref().unwrap_or_default(),
            metadata.namespace.as_deref().unwrap_or_default()
        );
        let spec = self.spec.clone().unwrap_or_default();
        let ports = spec.ports.iter().flatten();
        let targets = ports.map(|port| {
            let mut labels = of_spec(&spec);
            labels.set_some("service_port_name", port.name.as_ref());
            labels.set("service_port_number", port.port.to_string());
            labels.set_some("service_port_protocol", port.protocol.as_ref());
            FoundTarget {
                address: host_port(&host, port.port),
                labels,
            }
        });
        Record::Plain(PlainRecord {
            labels,
            targets: targets.collect(),
        })
    }
}

/// Labels of the targets of a Service that its endpoints do not have.
fn of_spec(spec: &ServiceSpec) -> MetaLabels {
    let mut labels = MetaLabels::default();
    labels.set_some("service_type", spec.type_.as_ref());
    match spec.type_.as_deref() {
        Some("ExternalName") => {
            labels.set_some("service_external_name", spec.external_name.as_ref());
        }
        kind => {
            labels.set_some("service_cluster_ip", spec.cluster_ip.as_ref());
            if kind == Some("LoadBalancer") {
                labels.set_some("service_loadbalancer_ip", spec.load_balancer_ip.as_ref());
            }
        }
    }
    labels
}

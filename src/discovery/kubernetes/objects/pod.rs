//! Pods: a target for each port of each container.

use k8s_openapi::api::core::v1::{self as core, ContainerStatus, Pod, PodStatus};

use super::{FoundTarget, Record, Recorded};
use crate::discovery::kubernetes::labels::{MetaLabels, host_port};

/// What is kept of a Pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::discovery::kubernetes) struct PodRecord {
    /// Labels of all of its targets, without its namespace.
    pub(in crate::discovery::kubernetes) labels: MetaLabels,
    /// Empty while it starts, and after it was evicted.
    pub(in crate::discovery::kubernetes) ip: String,
    /// The Node that it runs on.
    pub(in crate::discovery::kubernetes) node: String,
    /// The init containers stand last.
    pub(in crate::discovery::kubernetes) containers: Vec<Container>,
}

/// A container of a Pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::discovery::kubernetes) struct Container {
    name: String,
    image: String,
    id: String,
    is_init: bool,
    pub(in crate::discovery::kubernetes) ports: Vec<ContainerPort>,
}

/// A port that a container declares.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::discovery::kubernetes) struct ContainerPort {
    name: String,
    pub(in crate::discovery::kubernetes) number: i32,
    protocol: String,
}

impl Recorded for Pod {
    fn record(&self) -> Record {
        let (spec, status) = (self.spec.as_ref(), self.status.as_ref());
        let containers = spec.iter().flat_map(|spec| {
            let usual = spec.containers.iter().map(|of| (of, false));
            let init = spec.init_containers.iter().flatten();
            usual.chain(init.map(|of| (of, true)))
        });
        let node = spec.and_then(|spec| spec.node_name.clone());
        Record::Pod(PodRecord {
            labels: labels(self),
            ip: status
                .and_then(|status| status.pod_ip.clone())
                .unwrap_or_default(),
            node: node.unwrap_or_default(),
            containers: containers
                .map(|(of, is_init)| container(of, is_init, status))
                .collect(),
        })
    }
}

fn labels(pod: &Pod) -> MetaLabels {
    let (metadata, mut labels) = (&pod.metadata, MetaLabels::default());
    let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
    labels.set_some("pod_name", metadata.name.as_ref());
    labels.set_some("pod_uid", metadata.uid.as_ref());
    labels.set_some("pod_ip", status.and_then(|of| of.pod_ip.as_ref()));
    labels.set_some("pod_phase", status.and_then(|of| of.phase.as_ref()));
    labels.set_some("pod_host_ip", status.and_then(|of| of.host_ip.as_ref()));
    labels.set_some("pod_node_name", spec.and_then(|of| of.node_name.as_ref()));
    labels.set("pod_ready", ready(status));
    let mut owners = metadata.owner_references.iter().flatten();
    if let Some(owner) = owners.find(|owner| owner.controller == Some(true)) {
        labels.set("pod_controller_kind", &owner.kind);
        labels.set("pod_controller_name", &owner.name);
    }
    labels.set_metadata("pod", metadata);
    labels
}

/// `true`, `false` or `unknown`.
fn ready(status: Option<&PodStatus>) -> String {
    let mut conditions = status.and_then(|of| of.conditions.as_ref()).into_iter();
    let ready = conditions
        .by_ref()
        .flatten()
        .find(|condition| condition.type_ == "Ready");
    ready.map_or_else(
        || "unknown".to_owned(),
        |condition| condition.status.to_lowercase(),
    )
}

fn container(of: &core::Container, is_init: bool, status: Option<&PodStatus>) -> Container {
    let statuses: Option<&Vec<ContainerStatus>> = status.and_then(|status| match is_init {
        false => status.container_statuses.as_ref(),
        true => status.init_container_statuses.as_ref(),
    });
    let status = statuses.into_iter().flatten().find(|s| s.name == of.name);
    let ports = of.ports.iter().flatten().map(|port| ContainerPort {
        name: port.name.clone().unwrap_or_default(),
        number: port.container_port,
        protocol: port.protocol.clone().unwrap_or_default(),
    });
    Container {
        name: of.name.clone(),
        image: of.image.clone().unwrap_or_default(),
        id: status
            .and_then(|status| status.container_id.clone())
            .unwrap_or_default(),
        is_init,
        ports: ports.collect(),
    }
}

impl Container {
    /// The labels of one of its ports.
    pub(in crate::discovery::kubernetes) fn port_labels(&self, port: &ContainerPort) -> MetaLabels {
        let mut labels = MetaLabels::default();
        labels.set("pod_container_name", &self.name);
        labels.set("pod_container_image", &self.image);
        labels.set("pod_container_port_name", &port.name);
        labels.set("pod_container_port_number", port.number.to_string());
        labels.set("pod_container_port_protocol", &port.protocol);
        labels.set("pod_container_init", self.is_init.to_string());
        labels
    }
}

impl PodRecord {
    /// A target for each port of each container, and one without a port for a container that
    /// declares none. None while it has no address.
    pub(in crate::discovery::kubernetes) fn targets(&self) -> Vec<FoundTarget> {
        if self.ip.is_empty() {
            return Vec::new();
        }
        let containers = self.containers.iter();
        containers
            .flat_map(|container| self.targets_of(container))
            .collect()
    }

    fn targets_of(&self, container: &Container) -> Vec<FoundTarget> {
        if container.ports.is_empty() {
            let mut labels = MetaLabels::default();
            labels.set("pod_container_name", &container.name);
            labels.set("pod_container_image", &container.image);
            labels.set("pod_container_id", &container.id);
            labels.set("pod_container_init", container.is_init.to_string());
            let address = match self.ip.contains(':') {
                true => format!("[{}]", self.ip),
                false => self.ip.clone(),
            };
            return vec![FoundTarget { address, labels }];
        }
        let ports = container.ports.iter().map(|port| {
            let mut labels = container.port_labels(port);
            labels.set("pod_container_id", &container.id);
            FoundTarget {
                address: host_port(&self.ip, port.number),
                labels,
            }
        });
        ports.collect()
    }

    pub(super) fn size_bytes(&self) -> usize {
        let containers = self.containers.iter();
        let containers = containers.map(|of| {
            let ports = of.ports.iter();
            let ports: usize = ports.map(|of| of.name.len() + of.protocol.len() + 64).sum();
            of.name.len() + of.image.len() + of.id.len() + ports + 96
        });
        self.labels.size_bytes() + containers.sum::<usize>() + self.node.len() + self.ip.len() + 96
    }
}

//! From the objects of the API server to what is kept of them: labels and addresses.

mod endpoints;
mod ingress;
mod node;
mod pod;
mod service;

use k8s_openapi::{api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::ObjectMeta};

pub(super) use self::{
    endpoints::{Backend, BackendSet},
    pod::PodRecord,
};
use super::labels::MetaLabels;

/// What an object is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ObjectKey {
    /// Empty for an object that is in no namespace.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl ObjectKey {
    pub(super) fn of(metadata: &ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// What is kept of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Record {
    Pod(PodRecord),
    /// An Endpoints object or an EndpointSlice.
    Backends(BackendSet),
    /// A Service, a Node, an Ingress or a Namespace.
    Plain(PlainRecord),
}

/// An object whose targets depend on no other object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PlainRecord {
    /// Labels of all targets, and of what belongs to the object.
    pub(super) labels: MetaLabels,
    pub(super) targets: Vec<FoundTarget>,
}

/// An address and the labels of it alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FoundTarget {
    pub(super) address: String,
    pub(super) labels: MetaLabels,
}

/// An object of which something is kept.
pub(super) trait Recorded {
    /// What is kept of it.
    fn record(&self) -> Record;
}

impl Record {
    /// How much memory it takes, roughly.
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Self::Pod(pod) => pod.size_bytes(),
            Self::Backends(set) => set.size_bytes(),
            Self::Plain(plain) => {
                let targets = plain.targets.iter();
                let targets = targets.map(|of| of.address.len() + of.labels.size_bytes());
                plain.labels.size_bytes() + targets.sum::<usize>()
            }
        }
    }
}

impl Recorded for Namespace {
    fn record(&self) -> Record {
        let mut labels = MetaLabels::default();
        labels.set_metadata("namespace", &self.metadata);
        Record::Plain(PlainRecord {
            labels,
            targets: Vec::new(),
        })
    }
}

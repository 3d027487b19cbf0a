//! What is known of the cluster, and the targets that follow from it. Pure: no IO, no time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    config::{AttachMetadata, Role},
    labels::{MetaLabels, host_port},
    objects::{Backend, BackendSet, FoundTarget, ObjectKey, PlainRecord, PodRecord, Record},
    resource::Resource,
};
use crate::discovery::group::Group;

/// The most memory of all objects that are kept, and of all targets that follow from them.
pub(super) const BYTES_MAX: usize = 256 << 20;

/// The objects would take more memory than they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

type Objects = BTreeMap<ObjectKey, Arc<Record>>;

/// The objects that are known. A copy is cheap enough to be made for each list of targets.
#[derive(Debug, Clone)]
pub(super) struct Store {
    objects: BTreeMap<Resource, Objects>,
    bytes: usize,
    limit_bytes: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(BYTES_MAX)
    }
}

impl Store {
    /// Without any object; its objects, and the targets that follow from them, take this much
    /// memory each at most.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            objects: BTreeMap::new(),
            bytes: 0,
            limit_bytes,
        }
    }

    /// Takes an object in place of the last one of this name.
    pub(super) fn put(
        &mut self,
        resource: Resource,
        key: ObjectKey,
        record: Record,
    ) -> Result<(), TooLarge> {
        self.remove(resource, &key);
        let size = record.size_bytes() + key.namespace.len() + key.name.len();
        if self.bytes + size > self.limit_bytes {
            return Err(TooLarge);
        }
        self.bytes += size;
        let objects = self.objects.entry(resource).or_default();
        objects.insert(key, Arc::new(record));
        Ok(())
    }

    pub(super) fn remove(&mut self, resource: Resource, key: &ObjectKey) {
        let objects = self.objects.get_mut(&resource);
        if let Some(record) = objects.and_then(|objects| objects.remove(key)) {
            let size = record.size_bytes() + key.namespace.len() + key.name.len();
            self.bytes = self.bytes.saturating_sub(size);
        }
    }

    /// Forgets the objects of a namespace, or of all, that are not among those `seen`.
    pub(super) fn keep(
        &mut self,
        resource: Resource,
        namespace: Option<&str>,
        seen: &BTreeSet<ObjectKey>,
    ) {
        let objects = self.objects.get(&resource).into_iter().flatten();
        let gone = objects.map(|(key, _)| key).filter(|key| {
            namespace.is_none_or(|namespace| key.namespace == namespace) && !seen.contains(key)
        });
        for key in gone.cloned().collect::<Vec<_>>() {
            self.remove(resource, &key);
        }
    }

    /// The targets of a role, each in a group of its own, in a lasting order.
    pub(super) fn groups(
        &self,
        role: Role,
        attach: AttachMetadata,
    ) -> Result<Vec<Group>, TooLarge> {
        let mut targets = Targets {
            store: self,
            attach,
            groups: Vec::new(),
            bytes: 0,
        };
        for (key, record) in self.of(role.resource()) {
            match &**record {
                Record::Pod(pod) => targets.add_pod(key, pod)?,
                Record::Backends(set) => targets.add_backends(key, set)?,
                Record::Plain(plain) => targets.add_plain(key, plain)?,
            }
        }
        Ok(targets.groups)
    }

    fn of(&self, resource: Resource) -> impl Iterator<Item = (&ObjectKey, &Arc<Record>)> {
        self.objects.get(&resource).into_iter().flatten()
    }

    fn get(&self, resource: Resource, key: &ObjectKey) -> Option<&Record> {
        let objects = self.objects.get(&resource)?;
        objects.get(key).map(|record| &**record)
    }

    fn pod(&self, key: &ObjectKey) -> Option<&PodRecord> {
        match self.get(Resource::Pods, key)? {
            Record::Pod(pod) => Some(pod),
            _ => None,
        }
    }

    fn plain(&self, resource: Resource, key: &ObjectKey) -> Option<&PlainRecord> {
        match self.get(resource, key)? {
            Record::Plain(plain) => Some(plain),
            _ => None,
        }
    }
}

/// The targets so far.
struct Targets<'s> {
    store: &'s Store,
    attach: AttachMetadata,
    groups: Vec<Group>,
    bytes: usize,
}

impl Targets<'_> {
    fn add(&mut self, of_object: &MetaLabels, target: &FoundTarget) -> Result<(), TooLarge> {
        let mut labels = of_object.clone();
        labels.extend(&target.labels);
        self.bytes += labels.size_bytes() + target.address.len();
        if self.bytes > self.store.limit_bytes {
            return Err(TooLarge);
        }
        let addresses = vec![target.address.clone().into_boxed_str()];
        self.groups.push(Group::new(addresses, labels.0));
        Ok(())
    }

    fn add_plain(&mut self, key: &ObjectKey, plain: &PlainRecord) -> Result<(), TooLarge> {
        let mut labels = plain.labels.clone();
        self.attach_namespace(&key.namespace, &mut labels);
        let mut targets = plain.targets.iter();
        targets.try_for_each(|target| self.add(&labels, target))
    }

    fn add_pod(&mut self, key: &ObjectKey, pod: &PodRecord) -> Result<(), TooLarge> {
        let mut labels = pod.labels.clone();
        labels.set("namespace", &key.namespace);
        self.attach_namespace(&key.namespace, &mut labels);
        self.attach_node(&pod.node, &mut labels);
        let targets = pod.targets();
        targets
            .iter()
            .try_for_each(|target| self.add(&labels, target))
    }

    fn add_backends(&mut self, key: &ObjectKey, set: &BackendSet) -> Result<(), TooLarge> {
        let mut labels = set.labels.clone();
        if let Some(name) = &set.service {
            let service = ObjectKey {
                namespace: key.namespace.clone(),
                name: name.clone(),
            };
            if let Some(service) = self.store.plain(Resource::Services, &service) {
                labels.extend(&service.labels);
            }
        }
        self.attach_namespace(&key.namespace, &mut labels);
        // Which ports of which Pods have a target.
        let mut covered: BTreeMap<&ObjectKey, BTreeSet<i32>> = BTreeMap::new();
        for backend in &set.backends {
            let target = self.backend_target(backend);
            if let Some(pod) = backend
                .pod
                .as_ref()
                .filter(|key| self.store.pod(key).is_some())
            {
                covered.entry(pod).or_default().extend(backend.port);
            }
            self.add(&labels, &target)?;
        }
        for (pod, ports) in covered {
            self.add_other_ports(&labels, pod, &ports)?;
        }
        Ok(())
    }

    /// A port of an address, with the labels of what is behind it.
    fn backend_target(&self, backend: &Backend) -> FoundTarget {
        let mut target = backend.target.clone();
        if let Some(node) = &backend.node {
            self.attach_node(node, &mut target.labels);
        }
        let Some(pod) = backend.pod.as_ref().and_then(|key| self.store.pod(key)) else {
            return target;
        };
        target.labels.extend(&pod.labels);
        for container in &pod.containers {
            let mut ports = container.ports.iter();
            if let Some(port) = ports.find(|port| Some(port.number) == backend.port) {
                target.labels.extend(&container.port_labels(port));
            }
        }
        target
    }

    /// The ports that a Pod declares and its Service does not name are targets, too.
    fn add_other_ports(
        &mut self,
        of_set: &MetaLabels,
        pod: &ObjectKey,
        covered: &BTreeSet<i32>,
    ) -> Result<(), TooLarge> {
        let store = self.store;
        let Some(pod) = store.pod(pod).filter(|pod| !pod.ip.is_empty()) else {
            return Ok(());
        };
        for container in &pod.containers {
            for port in &container.ports {
                if covered.contains(&port.number) {
                    continue;
                }
                let mut labels = pod.labels.clone();
                labels.extend(&container.port_labels(port));
                let target = FoundTarget {
                    address: host_port(&pod.ip, port.number),
                    labels,
                };
                self.add(of_set, &target)?;
            }
        }
        Ok(())
    }

    fn attach_namespace(&self, namespace: &str, labels: &mut MetaLabels) {
        let key = ObjectKey {
            namespace: String::new(),
            name: namespace.to_owned(),
        };
        let known = self.store.plain(Resource::Namespaces, &key);
        if let Some(namespace) = known.filter(|_| self.attach.namespace) {
            labels.extend(&namespace.labels);
        }
    }

    fn attach_node(&self, node: &str, labels: &mut MetaLabels) {
        let key = ObjectKey {
            namespace: String::new(),
            name: node.to_owned(),
        };
        let known = self.store.plain(Resource::Nodes, &key);
        if let Some(node) = known.filter(|_| self.attach.node) {
            labels.extend(&node.labels.of_node());
        }
    }
}

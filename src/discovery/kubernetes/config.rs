//! What the configuration says of Kubernetes, in Prometheus' keys and defaults.

use std::{collections::BTreeSet, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    place::{ConnectionError, own_namespace},
    resource::Resource,
};
use crate::{
    discovery::credentials::{Authorization, BasicAuth, TlsConfig},
    settings::HttpUrl,
    yaml::{Cursor, Diagnostics},
};

/// Finds targets in the API of Kubernetes, which is watched: a target follows its object at once.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct KubernetesSdConfig {
    /// Which objects are targets.
    pub role: Role,
    /// The API server. Without it and `kubeconfig_file`, the one of the cluster that the collector
    /// runs in, with the account of its Pod.
    #[serde(default)]
    pub api_server: Option<HttpUrl>,
    /// A kubeconfig file, which names the API server and the credentials.
    #[serde(default)]
    pub kubeconfig_file: Option<PathBuf>,
    /// Where objects are looked for. All namespaces by default.
    #[serde(default)]
    pub namespaces: Namespaces,
    /// Which objects are looked for, by their labels and fields. One a role.
    #[serde(default)]
    pub selectors: Vec<SelectorConfig>,
    /// Labels of other objects that targets get as well.
    #[serde(default)]
    pub attach_metadata: AttachMetadata,
    /// User name and password, for `api_server`.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// A token, or any other `Authorization` header, for `api_server`.
    #[serde(default)]
    pub authorization: Option<Authorization>,
    /// How to speak TLS with `api_server`.
    #[serde(default)]
    pub tls_config: TlsConfig,
}

/// Which objects are targets.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Each port of each container of a Pod.
    Pod,
    /// Each port of each address behind a Service, from EndpointSlices.
    EndpointSlice,
    /// The same from Endpoints objects, which Kubernetes 1.33 calls deprecated.
    Endpoints,
    /// Each port of a Service.
    Service,
    /// Each Node, at the port of its kubelet.
    Node,
    /// Each path of an Ingress.
    Ingress,
}

/// Where objects are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Namespaces {
    /// In the namespace of the collector's own Pod.
    pub own_namespace: bool,
    /// In these namespaces.
    pub names: Vec<String>,
}

/// Which objects of a role are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct SelectorConfig {
    /// The role: that of the discovery, or `pod` and `service` for endpoints.
    pub role: Role,
    /// A label selector, such as `app=node,tier in (a, b)`.
    #[serde(default)]
    pub label: String,
    /// A field selector, such as `spec.nodeName=node-1`.
    #[serde(default)]
    pub field: String,
}

/// Labels of other objects that targets get as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct AttachMetadata {
    /// The name and the labels of the Node; for the roles `pod`, `endpoints` and `endpointslice`.
    pub node: bool,
    /// The labels and annotations of the namespace; for all roles but `node`.
    pub namespace: bool,
}

impl Role {
    /// What the configuration calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::EndpointSlice => "endpointslice",
            Self::Endpoints => "endpoints",
            Self::Service => "service",
            Self::Node => "node",
            Self::Ingress => "ingress",
        }
    }

    /// The objects that are its targets.
    pub(super) fn resource(self) -> Resource {
        match self {
            Self::Pod => Resource::Pods,
            Self::EndpointSlice => Resource::EndpointSlices,
            Self::Endpoints => Resource::Endpoints,
            Self::Service => Resource::Services,
            Self::Node => Resource::Nodes,
            Self::Ingress => Resource::Ingresses,
        }
    }

    /// All objects whose labels its targets have, without those that are attached.
    fn resources(self) -> Vec<Resource> {
        match self {
            Self::EndpointSlice | Self::Endpoints => {
                vec![self.resource(), Resource::Services, Resource::Pods]
            }
            _ => vec![self.resource()],
        }
    }

    fn has_nodes(self) -> bool {
        matches!(self, Self::Pod | Self::EndpointSlice | Self::Endpoints)
    }
}

impl Namespaces {
    /// All of them; every namespace if there is none.
    pub(super) fn all(&self) -> Result<Vec<String>, ConnectionError> {
        let mut names = self.names.clone();
        if self.own_namespace {
            names.push(own_namespace()?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

impl KubernetesSdConfig {
    /// Whether the API server is that of the collector's own Pod.
    pub(super) fn is_of_pod(&self) -> bool {
        self.api_server.is_none() && self.kubeconfig_file.is_none()
    }

    /// What must be watched.
    pub(super) fn resources(&self) -> Vec<Resource> {
        let mut resources = self.role.resources();
        if self.attach_metadata.node && self.role.has_nodes() {
            resources.push(Resource::Nodes);
        }
        if self.attach_metadata.namespace && self.role != Role::Node {
            resources.push(Resource::Namespaces);
        }
        resources
    }

    /// Which objects of a kind are looked for.
    pub(super) fn selector(&self, resource: Resource) -> Option<&SelectorConfig> {
        let mut selectors = self.selectors.iter();
        selectors.find(|selector| selector.role.resource() == resource)
    }

    /// Checks what a type cannot say; `at` is this entry. Mistakes go to `diagnostics`.
    pub(super) fn check_keys(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let is_named = self.api_server.is_some();
        if is_named && self.kubeconfig_file.is_some() {
            let message = "has both `api_server` and `kubeconfig_file`; choose one";
            at.error(&[], message, diagnostics);
        }
        if self.has_client_settings() && !is_named {
            let message = "`basic_auth`, `authorization` and `tls_config` need `api_server`";
            at.error(&[], message, diagnostics);
        }
        if self.namespaces.own_namespace && (is_named || self.kubeconfig_file.is_some()) {
            let message = "needs the account of a Pod: it does not go with `api_server` and \
                           `kubeconfig_file`";
            at.error(&["namespaces", "own_namespace"], message, diagnostics);
        }
        self.check_selectors(at, diagnostics);
        let attach = self.attach_metadata;
        for (key, is_lost) in [
            ("node", attach.node && !self.role.has_nodes()),
            ("namespace", attach.namespace && self.role == Role::Node),
        ] {
            if is_lost {
                let message = format!("has no effect on `role: {}`", self.role.name());
                at.warning(&["attach_metadata", key], message, diagnostics);
            }
        }
    }

    fn has_client_settings(&self) -> bool {
        self.basic_auth.is_some()
            || self.authorization.is_some()
            || self.tls_config != TlsConfig::default()
    }

    fn check_selectors(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let allowed = self.role.resources();
        let mut roles = BTreeSet::new();
        for (position, selector) in self.selectors.iter().enumerate() {
            let (position, role) = (position.to_string(), selector.role.name());
            let place = ["selectors", &position, "role"];
            if !roles.insert(selector.role) {
                let message = format!("there is another selector of the role `{role}`");
                at.error(&place, message, diagnostics);
            }
            if !allowed.contains(&selector.role.resource()) {
                let message = format!("`role: {}` has no selector `{role}`", self.role.name());
                at.error(&place, message, diagnostics);
            }
        }
    }
}

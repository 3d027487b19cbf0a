//! The kinds of object that are watched.

/// A kind of object that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    Pods,
    Services,
    Endpoints,
    EndpointSlices,
    Nodes,
    Ingresses,
    Namespaces,
}

impl Resource {
    /// What the API calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Services => "services",
            Self::Endpoints => "endpoints",
            Self::EndpointSlices => "endpointslices",
            Self::Nodes => "nodes",
            Self::Ingresses => "ingresses",
            Self::Namespaces => "namespaces",
        }
    }

    /// Whether its objects are in no namespace.
    pub(super) fn is_of_cluster(self) -> bool {
        matches!(self, Self::Nodes | Self::Namespaces)
    }
}

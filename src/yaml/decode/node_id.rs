//! The identity of a node during a decoding.

use crate::yaml::Node;

/// Identifies a node by its address, because the tree does not move during the decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(*const Node);

impl From<&Node> for NodeId {
    fn from(node: &Node) -> Self {
        Self(std::ptr::from_ref(node))
    }
}

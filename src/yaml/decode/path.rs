//! The position of the decoding in the tree.

use std::fmt;

use crate::yaml::{
    Foreign,
    hidden::{holds_secrets, plain_key},
};

/// The path from the root to a node, on the stack.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'p> {
    Root(&'p str),
    Key(&'p Self, &'p str),
    Index(&'p Self, usize),
}

impl<'p> Path<'p> {
    pub(super) fn child(&'p self, key: &'p str) -> Self {
        Self::Key(self, key)
    }

    /// Whether a key of the path is one for secrets.
    pub(super) fn is_secret(&self) -> bool {
        match self {
            Self::Root(_) => false,
            Self::Key(parent, key) => holds_secrets(key) || parent.is_secret(),
            Self::Index(parent, _) => parent.is_secret(),
        }
    }

    /// The foreign keys of this node, if `root` has those of the root.
    pub(super) fn foreign(&self, root: &'static Foreign) -> Option<&'static Foreign> {
        match self {
            Self::Root(_) => Some(root),
            Self::Key(parent, key) => parent.foreign(root)?.below(key),
            Self::Index(parent, index) => parent.foreign(root)?.below(&index.to_string()),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(root) => f.write_str(root),
            Self::Key(Path::Root(""), key) => f.write_str(key),
            Self::Key(parent, key) if parent.is_secret() => {
                write!(f, "{parent}::{}", plain_key(key).unwrap_or("…"))
            }
            Self::Key(parent, key) => write!(f, "{parent}::{key}"),
            Self::Index(Path::Root(""), index) => write!(f, "{index}"),
            Self::Index(parent, index) => write!(f, "{parent}::{index}"),
        }
    }
}

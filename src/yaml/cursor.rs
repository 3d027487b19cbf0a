//! A node with its path, for checks after decoding.

use super::{
    Diagnostics, Node, Place,
    hidden::{holds_secrets, plain_key},
    node::shorten,
};

/// A node and the path to it.
///
/// Checks of decoded values report here, so that their messages have a line as well:
/// `cursor.error(&["targets", "0", "endpoint"], "…", diagnostics)`.
#[derive(Debug, Clone)]
pub struct Cursor<'n> {
    /// The node in the tree.
    pub node: &'n Node,
    /// Its path from the root, such as `receivers::betanet`.
    pub path: String,
}

impl<'n> Cursor<'n> {
    /// A cursor at `node` with the given `path`.
    pub fn new(node: &'n Node, path: impl Into<String>) -> Self {
        Self {
            node,
            path: path.into(),
        }
    }

    /// The cursor at `path` below this node.
    pub fn at(&self, path: &[&str]) -> Option<Self> {
        Some(Self {
            node: self.node.at(path)?,
            path: self.path_to(path),
        })
    }

    /// The cursors of all members of this map or list.
    pub fn children(&self) -> impl Iterator<Item = Self> {
        let keys = self
            .node
            .entries()
            .iter()
            .map(|entry| (entry.key.clone(), &entry.value));
        let items = self
            .node
            .items()
            .iter()
            .enumerate()
            .map(|(i, item)| (i.to_string(), item));
        keys.chain(items).map(|(key, node)| Self {
            node,
            path: self.path_to(&[&key]),
        })
    }

    /// The place of `path` below this node: its key if it has one, or, if it is absent and a
    /// default applies, the nearest place around it.
    pub fn place_of(&self, path: &[&str]) -> &'n Place {
        let mut node = self.node;
        let mut place = &node.place;
        for key in path {
            let Some(next) = node.get(key) else { break };
            place = node
                .entry(key)
                .map_or(&next.place, |entry| &entry.key_place);
            node = next;
        }
        place
    }

    /// Reports an error about `path` below this node. An empty path means this node.
    pub fn error(&self, path: &[&str], message: impl Into<String>, diagnostics: &mut Diagnostics) {
        diagnostics.error(self.place_of(path), self.path_to(path), message);
    }

    /// Reports a warning about `path` below this node.
    pub fn warning(&self, path: &[&str], message: impl Into<String>, into: &mut Diagnostics) {
        into.warning(self.place_of(path), self.path_to(path), message);
    }

    /// Below a key for secrets, a key that may itself be a secret is not shown.
    fn path_to(&self, path: &[&str]) -> String {
        let mut to = self.path.clone();
        let mut is_secret = self.path.split("::").any(holds_secrets);
        for key in path {
            if !to.is_empty() {
                to.push_str("::");
            }
            to.push_str(&match *key {
                "" => "\"\"".to_owned(),
                key if is_secret => plain_key(key).unwrap_or("…").to_owned(),
                key => shorten(key),
            });
            is_secret |= holds_secrets(key);
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    #[test]
    fn reports_the_place_of_a_value_or_of_its_parent() {
        let text = "targets:\n  - endpoint: x\n  - {}\n";
        let node = parse("f", text, &mut Diagnostics::new()).unwrap();
        let cursor = Cursor::new(&node, "receivers::betanet");
        let mut diagnostics = Diagnostics::new();
        cursor.error(&["targets", "0", "endpoint"], "taken", &mut diagnostics);
        cursor.error(&["targets", "1", "timeout"], "too short", &mut diagnostics);
        cursor.error(&["targets", "1", "timeout"], "too short", &mut diagnostics);
        for target in cursor.at(&["targets"]).unwrap().children() {
            target.warning(&[], "odd", &mut diagnostics);
        }
        assert_eq!(
            diagnostics.to_string(),
            "f:2:5: receivers::betanet::targets::0::endpoint: taken\n\
             f:3:5: receivers::betanet::targets::1::timeout: too short"
        );
        let warnings: Vec<String> = diagnostics.warnings().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "f:2:5: receivers::betanet::targets::0: odd",
                "f:3:5: receivers::betanet::targets::1: odd"
            ]
        );
    }
}

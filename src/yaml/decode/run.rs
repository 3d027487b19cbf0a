//! What one decoding remembers from attempt to attempt.

use super::{
    path::Path,
    problem::{Error, Problem, did_you_mean},
};
use crate::yaml::{Diagnostic, Diagnostics, Node, Place, Value, list, nearest};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

/// Which node: its address, as the tree does not move while it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(*const Node);

impl From<&Node> for NodeId {
    fn from(node: &Node) -> Self {
        Self(std::ptr::from_ref(node))
    }
}

/// The state of one decoding.
#[derive(Debug, Default)]
pub(super) struct Run(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    found: Diagnostics,
    /// Entries that are left out.
    rejected: HashSet<NodeId>,
    /// The keys that were missing in a struct and are stood in for.
    stand_ins: HashMap<NodeId, Vec<&'static str>>,
    /// Keys that are missing because their name was misspelt.
    misspelt: HashSet<(NodeId, &'static str)>,
}

impl Run {
    /// Leaves out the entry of `node` from now on; false if it already was.
    pub(super) fn reject(&self, node: NodeId) -> bool {
        self.0.borrow_mut().rejected.insert(node)
    }

    pub(super) fn rejected(&self, node: &Node) -> bool {
        self.0.borrow().rejected.contains(&node.into())
    }

    pub(super) fn stand_ins(&self, node: &Node) -> Vec<&'static str> {
        self.0
            .borrow()
            .stand_ins
            .get(&node.into())
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn into_diagnostics(self) -> Diagnostics {
        self.0.into_inner().found
    }

    /// Reports a key that a struct does not know.
    pub(super) fn unknown_key(
        &self,
        map: &Node,
        path: &Path<'_>,
        (key, at): (&str, &Place),
        known: &'static [&'static str],
    ) {
        let near = nearest(key, known);
        let mut state = self.0.borrow_mut();
        if let Some(near) = near {
            state.misspelt.insert((map.into(), near));
        }
        let expected = match (near, known) {
            (None, []) => "; none is expected here".to_owned(),
            (None, known) => format!("; expected one of {}", list(known)),
            (Some(_), _) => String::new(),
        };
        // A map that came from the environment must not show its keys either, nor one of secrets
        // a key without a value: it may be one of them.
        let is_absent = map.get(key).is_none_or(Node::is_null);
        let (path, subject) = match &map.expansion {
            None if near.is_none() && is_absent && path.is_secret() => {
                (path.to_string(), String::new())
            }
            None => (path.child(key).to_string(), String::new()),
            Some(_) => (path.to_string(), format!(" in {}", map.describe())),
        };
        let message = format!("unknown key{subject}{expected}");
        state.found.push(Diagnostic {
            place: at.clone(),
            path,
            message,
            help: near.map(did_you_mean),
        });
    }

    /// Reports what is wrong with `node`, unless it follows from what is known already, and says
    /// how to go on.
    pub(super) fn blame(&self, error: Error, node: &Node, path: &Path<'_>, at: &Place) -> Error {
        let Error::Problem(problem) = error else {
            return error;
        };
        let mut state = self.0.borrow_mut();
        if !state.follows(&problem, node) {
            let is_secret = path.is_secret();
            let (message, help) = problem.explain(node, is_secret);
            let path = path.to_string();
            state.found.push(Diagnostic {
                place: at.clone(),
                path,
                message,
                help,
            });
        }
        if let Problem::Missing(key) = problem {
            let stand_ins = state.stand_ins.entry(node.into()).or_default();
            if !stand_ins.contains(&key) {
                stand_ins.push(key);
                return Error::Retry;
            }
        }
        Error::Reported(node.into())
    }

    /// Leaves out an entry without a value, so that its default is taken.
    pub(super) fn absent(&self, node: &Node) -> Error {
        Error::Reported(node.into())
    }
}

impl State {
    /// Whether `problem` is there only because of what was left out of `node`.
    fn follows(&self, problem: &Problem, node: &Node) -> bool {
        match problem {
            Problem::Consequence => true,
            Problem::Missing(key) => {
                let wrong =
                    |value: &Node| !value.is_null() && self.rejected.contains(&value.into());
                node.get(key).is_some_and(wrong) || self.misspelt.contains(&(node.into(), key))
            }
            // The type may dislike a default or a stand-in.
            Problem::Expected(_) | Problem::Variant(_) | Problem::Custom(_) => {
                self.stand_ins.contains_key(&node.into()) || self.left_out_of(node)
            }
        }
    }

    fn left_out_of(&self, node: &Node) -> bool {
        let wrong = |child: &Node| self.rejected.contains(&child.into());
        match &node.value {
            Value::Map(entries) => entries.iter().any(|entry| wrong(&entry.value)),
            Value::Seq(items) => items.iter().any(wrong),
            Value::Null | Value::Scalar(_) => false,
        }
    }
}

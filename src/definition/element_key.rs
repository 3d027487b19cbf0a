//! Where a value stands in its parent.

use std::{borrow::Cow, fmt};

/// Where a value stands in its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementKey<'a> {
    /// The name of a member.
    Name(&'a str),
    /// The index of an item.
    Index(usize),
}

impl<'a> ElementKey<'a> {
    /// As attributes have it.
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Self::Name(name) => name.into(),
            Self::Index(index) => index.to_string().into(),
        }
    }
}

impl fmt::Display for ElementKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

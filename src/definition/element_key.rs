//! The position of a value in its parent.

use std::{borrow::Cow, fmt};

/// The position of a value in its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementKey<'a> {
    /// The name of a member of an object.
    Name(&'a str),
    /// The index of an item of an array.
    Index(usize),
}

impl<'a> ElementKey<'a> {
    /// The key as the value of an attribute.
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

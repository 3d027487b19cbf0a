//! The rows of a body that has many of them.

use serde_json::Value;

use super::{
    budget::Budget,
    error::{DocumentError, ROWS_MAX},
};

/// Rows that grow within a budget.
#[derive(Debug, Default)]
pub(crate) struct Rows(Vec<Value>);

impl Rows {
    /// Adds a row.
    pub(crate) fn push(&mut self, row: Value, budget: &mut Budget) -> Result<(), DocumentError> {
        if self.0.len() >= ROWS_MAX {
            return Err(DocumentError::Rows);
        }
        Ok(budget.push(&mut self.0, row)?)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Rows> for Value {
    fn from(rows: Rows) -> Self {
        Self::Array(rows.0)
    }
}

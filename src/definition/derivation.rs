//! Requests for each element of another endpoint's answer.

use std::sync::Arc;

use serde_json::Value;

use super::{ElementNeeds, Path, RequestElement, Steps, TooManySteps};

/// Requests for each element of another endpoint's answer.
#[derive(Debug, Clone)]
pub struct Derivation {
    /// Index of the endpoint that has the elements.
    pub parent: usize,
    /// Where they stand in its document.
    pub path: Path,
    /// What an element is called.
    pub name: Arc<str>,
    /// The most requests of a poll.
    pub max: usize,
    /// Whether it is a fact that there are none.
    pub is_optional: bool,
    /// What requests and attributes need of an element.
    pub(super) needs: ElementNeeds,
}

/// Elements of a document.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoundElements {
    /// Those for which requests are made.
    pub elements: Vec<Arc<RequestElement>>,
    /// The number of those over the limit.
    pub over: usize,
    /// The number of those that are too large to be kept.
    pub too_large: usize,
    /// Why they cannot be there, if what the path leads through is missing.
    pub gap: Option<String>,
}

impl Derivation {
    /// Finds the elements of a document whose text has `text_bytes`.
    ///
    /// # Errors
    /// If the path takes too many steps.
    pub fn find(&self, document: &Value, text_bytes: usize) -> Result<FoundElements, TooManySteps> {
        let steps = Steps::for_document(text_bytes);
        let found = self.path.elements(document, self.max, &steps)?;
        let mut all = FoundElements {
            over: found.total - found.hits.len(),
            gap: match found.total == 0
                && !self.is_optional
                && self.path.misses(document, &steps)?
            {
                true => Some(self.gap(document, &steps)),
                false => None,
            },
            ..FoundElements::default()
        };
        for hit in found.hits {
            match self.needs.of(hit.value) {
                Some(value) => all.elements.push(Arc::new(RequestElement {
                    key: hit
                        .key
                        .map(|key| key.text().into_owned())
                        .unwrap_or_default(),
                    value,
                })),
                None => all.too_large += 1,
            }
        }
        Ok(all)
    }

    fn gap(&self, document: &Value, steps: &Steps) -> String {
        let path = self.path.text();
        match self.path.hint(document, steps) {
            Some(hint) => format!("{path}: {hint}"),
            None => path.to_owned(),
        }
    }
}

impl FoundElements {
    /// The path took too long.
    pub fn unknown(error: &TooManySteps) -> Self {
        Self {
            gap: Some(error.to_string()),
            ..Self::default()
        }
    }

    /// These and those of another page, `max` of them.
    #[must_use]
    pub fn and(mut self, other: &Self, max: usize) -> Self {
        let room = max.saturating_sub(self.elements.len());
        self.elements
            .extend(other.elements.iter().take(room).cloned());
        self.over += other.over + other.elements.len().saturating_sub(room);
        self.too_large += other.too_large;
        self.gap = self.gap.filter(|_| other.gap.is_some());
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_are_found_and_counted() {
        let mut needs = ElementNeeds::default();
        needs.member(Some("id"));
        let mut derivation = Derivation {
            parent: 0,
            path: Path::parse("$.apps").unwrap(),
            name: "app".into(),
            max: 2,
            is_optional: false,
            needs,
        };
        let find =
            |derivation: &Derivation, document: Value| derivation.find(&document, 100).unwrap();
        let found = find(
            &derivation,
            json!({"apps": [{"id": 1, "x": 2}, {"id": {"x": "y".repeat(20_000)}}, {}]}),
        );
        let first = RequestElement {
            key: "0".to_owned(),
            value: json!({"id": 1}),
        };
        assert_eq!(found.elements, [Arc::new(first)]);
        assert_eq!((found.over, found.too_large), (1, 1));
        assert_eq!(find(&derivation, json!({"apps": []})).gap, None);
        let missing = find(&derivation, json!({"app": [1]}));
        let gap = "$.apps: no `apps`; did you mean `app`?";
        assert_eq!(missing.gap.as_deref(), Some(gap));
        let all = missing.and(&found, 2).and(&found, 2).and(&found, 2);
        assert_eq!((all.elements.len(), all.over, all.too_large), (2, 4, 3));
        assert_eq!(all.gap, None);
        derivation.is_optional = true;
        assert_eq!(find(&derivation, json!({"app": [1]})).gap, None);
    }
}

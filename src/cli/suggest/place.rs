//! Places in a document, as a path and as a name.

use std::sync::Arc;

use super::{names, words::words};

/// A place below an element or below the document.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// The names that lead to it from the document, for a selection.
    pub(super) keys: Vec<String>,
    /// The names that lead to it from its element.
    steps: Vec<String>,
    /// What the names of metrics in it begin with, of outer elements too.
    pub(super) parts: Vec<String>,
    /// The same of what it stands in.
    pub(super) outer: Vec<String>,
    /// What its name is made of, if that is not its key.
    said: Option<Vec<String>>,
    /// What the document says of it.
    pub(super) description: Option<String>,
    /// The words of the numbers beside it.
    pub(super) siblings: Arc<Vec<Vec<String>>>,
    /// How deep it stands in the document.
    pub(super) depth: usize,
}

impl Place {
    /// The place of the member `key`, whose name the names of metrics in it have.
    pub(super) fn member(&self, key: &str) -> Self {
        let mut member = self.clone();
        member.keys.push(key.to_owned());
        member.steps.push(key.to_owned());
        member.outer.clone_from(&self.parts);
        member.said = None;
        member.description = None;
        member.depth += 1;
        let part = names::container(&words(key)).join("_");
        if !part.is_empty() {
            member.parts.push(part);
        }
        member
    }

    /// The same place, whose members stand beside numbers of these words.
    pub(super) fn beside(&self, siblings: Vec<Vec<String>>) -> Self {
        Self {
            siblings: Arc::new(siblings),
            ..self.clone()
        }
    }

    /// The same place, whose own name says nothing.
    pub(super) fn unnamed(mut self) -> Self {
        self.parts.clone_from(&self.outer);
        self
    }

    /// The place of the one value of an object, which is called as the object.
    pub(super) fn held(&self, key: &str, description: Option<String>) -> Self {
        Self {
            outer: self.outer.clone(),
            said: Some(self.words()),
            description,
            ..self.member(key)
        }
    }

    /// The same place, as the one value of its element: what holds the elements names it.
    pub(super) fn named_by(mut self, elements: &Elements) -> Self {
        self.outer.clone_from(&elements.outer);
        self.said = Some(elements.said.clone());
        self
    }

    /// Each of the elements that stand here. `otherwise` calls them if no name does.
    pub(super) fn elements(&self, otherwise: &[String]) -> Elements {
        let own = match self.is_element() {
            true => self.parts.last().map(|part| words(part)),
            false => Some(words(self.last())),
        };
        let own = own.unwrap_or_default();
        let mut outer = self.outer.clone();
        let mut parts = self.outer.clone();
        let (noun, said) = match names::measured_by(&own) {
            Some((measure, by)) => {
                outer.push(by.join("_"));
                let measure = names::without(measure, &by).to_vec();
                (Some(by.join("_")), measure)
            }
            None => (names::element(&own, otherwise), own),
        };
        parts.extend(noun.clone());
        let noun = noun.unwrap_or_else(|| "element".to_owned());
        let element = Self {
            keys: self.keys.clone(),
            parts,
            outer: outer.clone(),
            said: Some(said.clone()),
            depth: self.depth + 1,
            ..Self::default()
        };
        Elements {
            element,
            noun,
            outer,
            said,
        }
    }

    /// The last name of the path.
    pub(super) fn last(&self) -> &str {
        self.steps.last().map_or("", String::as_str)
    }

    /// Whether it is the element itself.
    pub(super) fn is_element(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it is the whole document.
    pub(super) fn is_document(&self) -> bool {
        self.depth == 0
    }

    /// The words of its name, as the document has it.
    pub(super) fn words(&self) -> Vec<String> {
        let said = self.said.clone();
        said.unwrap_or_else(|| words(self.last()))
    }

    /// The path of what it stands in.
    pub(super) fn outer_path(&self) -> String {
        let outer = self.steps.len().saturating_sub(1);
        path_of(self.steps.get(..outer).unwrap_or_default())
    }

    /// As a JSONPath.
    pub(super) fn path(&self) -> String {
        path_of(&self.steps)
    }
}

/// These names as a JSONPath.
fn path_of(steps: &[String]) -> String {
    let mut path = "$".to_owned();
    for step in steps {
        let mut letters = step.chars();
        let is_first = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
        let is_plain = letters.next().is_some_and(is_first)
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        match is_plain {
            true => {
                path.push('.');
                path.push_str(step);
            }
            false => path.push_str(&format!("['{}']", escaped(step))),
        }
    }
    path
}

/// Elements of one kind.
#[derive(Debug, Clone)]
pub(super) struct Elements {
    /// The place of one of them.
    pub(super) element: Place,
    /// What one of them is called.
    pub(super) noun: String,
    /// What the name of their one value begins with.
    outer: Vec<String>,
    /// The words of the name of their one value.
    said: Vec<String>,
}

/// A name within single quotes of a JSONPath.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match letter {
            '\'' | '\\' => {
                text.push('\\');
                text.push(letter);
            }
            letter if letter.is_control() => {
                text.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_and_a_name() {
        let place = Place::default()
            .member("mem-usage")
            .member("it's")
            .member("heapUsed");
        assert_eq!(place.path(), "$['mem-usage']['it\\'s'].heapUsed");
        assert_eq!(place.outer, ["mem_usage", "it_s"]);
        assert_eq!(place.words(), ["heap", "used"]);
        assert!(crate::definition::Path::parse(&place.path()).is_ok());
    }

    #[test]
    fn elements_are_called_by_what_holds_them_or_by_their_endpoint() {
        let queues = Place::default().member("data").member("queues");
        let of = queues.elements(&[]);
        assert_eq!(
            (of.element.path().as_str(), of.noun.as_str()),
            ("$", "queue")
        );
        assert_eq!(of.element.member("depth").outer, ["queue"]);
        let of = Place::default().elements(&words("upstreams"));
        assert_eq!(of.element.member("fails").outer, ["upstream"]);
        let of = Place::default()
            .member("seriesCountByMetricName")
            .elements(&[]);
        let value = of.element.member("value").named_by(&of);
        assert_eq!(
            (value.outer.join("."), of.noun.as_str()),
            ("metric".to_owned(), "metric")
        );
        assert_eq!(value.words(), ["series", "count"]);
    }
}

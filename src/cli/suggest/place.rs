//! Places in a document, as a path and as a name.

use super::words::{singular, words};

/// A place below an element or below the document.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// The names that lead to it from its element.
    steps: Vec<String>,
    /// The words of the metric's name, of outer elements too.
    pub(super) name: Vec<String>,
    /// How deep it stands in the document.
    pub(super) depth: usize,
}

impl Place {
    /// The place of the member `key`.
    pub(super) fn member(&self, key: &str) -> Self {
        let mut steps = self.steps.clone();
        steps.push(key.to_owned());
        let mut name = self.name.clone();
        name.push(words(key).join("_"));
        name.retain(|part| !part.is_empty());
        Self {
            steps,
            name,
            depth: self.depth + 1,
        }
    }

    /// The place of each of the elements that stand here.
    pub(super) fn element(&self) -> Self {
        let mut name = self.name.clone();
        if let Some(last) = name.last_mut() {
            *last = singular(last);
        }
        Self {
            steps: Vec::new(),
            name,
            depth: self.depth + 1,
        }
    }

    /// The same place under another last name, if there is one.
    pub(super) fn named(mut self, last: Option<String>) -> Self {
        if let (Some(last), Some(own)) =
            (last.filter(|last| !last.is_empty()), self.name.last_mut())
            && !self.steps.is_empty()
        {
            *own = last;
        }
        self
    }

    /// The last name of the path.
    pub(super) fn last(&self) -> &str {
        self.steps.last().map_or("", String::as_str)
    }

    /// Whether it is the element itself.
    pub(super) fn is_element(&self) -> bool {
        self.steps.is_empty()
    }

    /// As a JSONPath.
    pub(super) fn path(&self) -> String {
        let mut path = "$".to_owned();
        for step in &self.steps {
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
        assert_eq!(place.name, ["mem_usage", "it_s", "heap_used"]);
        let element = Place::default().member("queues").element();
        assert_eq!(
            (element.path().as_str(), element.name[0].as_str()),
            ("$", "queue")
        );
        assert!(crate::definition::Path::parse(&place.path()).is_ok());
    }
}

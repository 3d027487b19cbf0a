//! Which targets are asked for, and in which order.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::{FleetSnapshot, TargetGlance, TargetRow, TargetState, natural_order::natural_key};

/// The targets of one page, unless `limit` says fewer.
const PAGE: usize = 100;

/// The most that `limit` may ask for.
const PAGE_MAX: usize = 1000;

/// The most bytes of a text that is searched for.
const TEXT_MAX: usize = 256;

/// Which targets are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetQuery {
    /// Only those in one of these states; all if there is none.
    pub states: Vec<TargetState>,
    /// Only those whose name, URL, labels or cause hold this text, in upper or lower case.
    pub text: String,
    /// Only those with all of these labels.
    pub labels: Vec<Label>,
    /// Only those of this receiver.
    pub receiver: Option<String>,
    /// In which order.
    pub sort: Sort,
    /// How many at most.
    pub limit: usize,
    /// Only those behind the target of this name.
    pub after: String,
}

/// A label and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// An order of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// By name, in natural order: `node-2` before `node-10`.
    #[default]
    Name,
    /// Bad states first, each state by name.
    Worst,
    /// The oldest data first.
    Age,
    /// The longest last poll first.
    Duration,
}

/// A page of targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetPage {
    /// How many targets there are.
    pub total: usize,
    /// How many of them are asked for, on this page and others.
    pub matched: usize,
    /// Those of this page.
    pub targets: Vec<TargetRow>,
    /// What `after` of the next page is; none on the last one.
    pub next: Option<String>,
}

/// A question that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Too many or too few.
    #[error("limit: expected a number from 1 to {PAGE_MAX}")]
    Limit,
    /// No such state.
    #[error("state: there is no state `{0}`; there is: {known}", known = state_names())]
    State(String),
    /// No such order.
    #[error("sort: there is no order `{0}`; there is: age, duration, name, worst")]
    Sort(String),
    /// No label.
    #[error("label: expected `NAME=VALUE`")]
    Label,
    /// A long text.
    #[error("q: expected at most {TEXT_MAX} bytes")]
    Text,
    /// No such parameter.
    #[error("unknown parameter `{0}`; there is: after, label, limit, q, receiver, sort, state")]
    Unknown(String),
}

impl Default for TargetQuery {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            text: String::new(),
            labels: Vec::new(),
            receiver: None,
            sort: Sort::default(),
            limit: PAGE,
            after: String::new(),
        }
    }
}

impl Sort {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("worst", Self::Worst),
        ("name", Self::Name),
        ("age", Self::Age),
        ("duration", Self::Duration),
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        let known = Self::ALL.iter().find(|(_, sort)| *sort == self);
        known.map_or("", |(name, _)| *name)
    }

    /// The order with this name.
    pub fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, sort)| *sort)
    }
}

impl TargetQuery {
    /// Reads the query of a URL, over what this one says.
    ///
    /// # Errors
    /// If a parameter is unknown or makes no sense.
    pub fn read(mut self, query: &str) -> Result<Self, QueryError> {
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "limit" => {
                    let limit = value.parse().ok();
                    let limit = limit.filter(|limit| (1..=PAGE_MAX).contains(limit));
                    self.limit = limit.ok_or(QueryError::Limit)?;
                }
                "after" => self.after = value.into_owned(),
                "q" if value.len() > TEXT_MAX => return Err(QueryError::Text),
                "q" => self.text = value.trim().to_lowercase(),
                "receiver" => self.receiver = Some(value.into_owned()).filter(|id| !id.is_empty()),
                "sort" => {
                    let sort = Sort::named(&value);
                    self.sort = sort.ok_or_else(|| QueryError::Sort(value.into_owned()))?;
                }
                "state" => {
                    for name in value.split(',').filter(|name| !name.is_empty()) {
                        let state = TargetState::named(name);
                        let state = state.ok_or_else(|| QueryError::State(name.to_owned()))?;
                        self.states.push(state);
                    }
                }
                "label" if value.is_empty() => {}
                "label" => {
                    let (name, value) = value.split_once('=').ok_or(QueryError::Label)?;
                    self.labels.push(Label {
                        name: name.to_owned(),
                        value: value.to_owned(),
                    });
                }
                unknown => return Err(QueryError::Unknown(unknown.to_owned())),
            }
        }
        Ok(self)
    }

    /// Whether all targets are asked for.
    pub fn is_everything(&self) -> bool {
        self.states.is_empty()
            && self.text.is_empty()
            && self.labels.is_empty()
            && self.receiver.is_none()
    }

    /// The targets that are asked for, in their order.
    pub(super) fn choose<'s>(&self, snapshot: &'s FleetSnapshot) -> Vec<&'s TargetGlance> {
        let all = snapshot.targets.iter();
        let mut chosen: Vec<_> = all.filter(|seen| self.takes(seen)).collect();
        match self.sort {
            // They stand so already.
            Sort::Worst => {}
            Sort::Name => chosen.sort_unstable_by_key(|seen| seen.rank),
            // What never answered is oldest of all.
            Sort::Age => chosen.sort_by_key(|seen| (seen.age.is_some(), Reverse(seen.age))),
            Sort::Duration => chosen.sort_by_key(|seen| Reverse(seen.last_duration)),
        }
        chosen
    }

    /// Where the page begins among `chosen`. By name it is known also for a target that has gone;
    /// in another order such a page is the first one.
    pub(super) fn begin(&self, chosen: &[&TargetGlance]) -> usize {
        if self.after.is_empty() {
            return 0;
        }
        if self.sort == Sort::Name {
            let after = natural_key(&self.after);
            return chosen.partition_point(|seen| natural_key(&seen.target.name) <= after);
        }
        let found = chosen
            .iter()
            .position(|seen| seen.target.name == self.after);
        found.map_or(0, |at| at + 1)
    }

    fn takes(&self, seen: &TargetGlance) -> bool {
        let target = &seen.target;
        let of_receiver = self
            .receiver
            .as_ref()
            .is_none_or(|id| *id == target.receiver);
        let mut labels = self.labels.iter();
        of_receiver
            && (self.states.is_empty() || self.states.contains(&seen.state))
            && labels.all(|label| target.labels.get(&label.name) == Some(&label.value))
            && self.finds_text(seen)
    }

    fn finds_text(&self, seen: &TargetGlance) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let target = &seen.target;
        let cause = seen.failure.as_ref().map(|(_, failure)| &*failure.message);
        let own = [target.name.as_str(), target.url.as_str()];
        let labels = target
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let has = |text: &str| text.to_lowercase().contains(&self.text);
        own.into_iter().chain(cause).any(has) || labels.into_iter().any(|label| has(&label))
    }
}

fn state_names() -> String {
    TargetState::ALL.map(TargetState::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_it_asks_for_or_what_is_wrong() {
        let read = |query: &str| TargetQuery::default().read(query);
        let asked =
            read("state=open,late&state=fresh&q=A%20b&label=region=eu&sort=age&limit=5&after=x")
                .unwrap();
        assert_eq!(
            asked,
            TargetQuery {
                states: vec![TargetState::Open, TargetState::Late, TargetState::Fresh],
                text: "a b".to_owned(),
                labels: vec![Label {
                    name: "region".to_owned(),
                    value: "eu".to_owned(),
                }],
                sort: Sort::Age,
                limit: 5,
                after: "x".to_owned(),
                ..TargetQuery::default()
            }
        );
        // An empty form asks for everything.
        assert!(read("q=&state=&receiver=&label=").unwrap().is_everything());
        for (query, error) in [
            ("limit=0", QueryError::Limit),
            ("limit=1001", QueryError::Limit),
            ("state=dead", QueryError::State("dead".to_owned())),
            ("sort=size", QueryError::Sort("size".to_owned())),
            ("label=region", QueryError::Label),
            ("page=2", QueryError::Unknown("page".to_owned())),
        ] {
            assert_eq!(read(query), Err(error));
        }
        assert_eq!(
            read(&format!("q={}", "x".repeat(257))),
            Err(QueryError::Text)
        );
    }
}

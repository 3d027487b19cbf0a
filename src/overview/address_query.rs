//! Which of the addresses that sources name are asked for.

use serde::{Deserialize, Serialize};

use crate::{
    discovery::DiscoveryResult,
    pipeline::{AddressFilter, DiscoveredAddress},
};

/// The addresses of one page, unless `limit` says fewer.
const PAGE: usize = 100;

/// The most that `limit` may ask for.
const PAGE_MAX: usize = 1000;

/// The most bytes of a text that is searched for.
const TEXT_MAX: usize = 256;

/// Which addresses are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressQuery {
    /// Only those of this receiver.
    pub receiver: Option<String>,
    /// What else they have in common.
    pub filter: AddressFilter,
    /// How many are left out at the beginning.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// A page of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPage {
    /// How many addresses the sources name.
    pub total: usize,
    /// How many of them are asked for, on this page and others.
    pub matched: usize,
    /// Those of this page, in the order of the sources.
    pub addresses: Vec<AddressRow>,
    /// What `offset` of the next page is; none on the last one.
    pub next: Option<usize>,
}

/// An address and the receiver that it was found for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRow {
    /// The receiver.
    pub receiver: String,
    /// The address.
    #[serde(flatten)]
    pub found: DiscoveredAddress,
}

/// A question that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressQueryError {
    /// Too many or too few.
    #[error("limit: expected a number from 1 to {PAGE_MAX}")]
    Limit,
    /// No number.
    #[error("offset: expected a number")]
    Offset,
    /// No such result.
    #[error("result: there is no result `{0}`; there is: {known}", known = results())]
    Result(String),
    /// A long text.
    #[error("q: expected at most {TEXT_MAX} bytes")]
    Text,
    /// No such parameter.
    #[error("unknown parameter `{0}`; there is: limit, offset, q, receiver, result, source")]
    Unknown(String),
}

impl Default for AddressQuery {
    fn default() -> Self {
        Self {
            receiver: None,
            filter: AddressFilter::default(),
            offset: 0,
            limit: PAGE,
        }
    }
}

impl AddressQuery {
    /// Reads the query of a URL, over what this one says.
    ///
    /// # Errors
    /// If a parameter is unknown or makes no sense.
    pub fn read(mut self, query: &str) -> Result<Self, AddressQueryError> {
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let given = || Some(value.clone().into_owned()).filter(|text| !text.is_empty());
            match &*key {
                "limit" => {
                    let limit = value.parse().ok();
                    let limit = limit.filter(|limit| (1..=PAGE_MAX).contains(limit));
                    self.limit = limit.ok_or(AddressQueryError::Limit)?;
                }
                "offset" => {
                    self.offset = value.parse().map_err(|_| AddressQueryError::Offset)?;
                }
                "q" if value.len() > TEXT_MAX => return Err(AddressQueryError::Text),
                "q" => self.filter.text = value.trim().to_lowercase(),
                "receiver" => self.receiver = given(),
                "source" => self.filter.source = given(),
                "result" => {
                    for name in value.split(',').filter(|name| !name.is_empty()) {
                        if !DiscoveryResult::ALL.iter().any(|of| of.name() == name) {
                            return Err(AddressQueryError::Result(name.to_owned()));
                        }
                        self.filter.results.push(name.to_owned());
                    }
                }
                unknown => return Err(AddressQueryError::Unknown(unknown.to_owned())),
            }
        }
        Ok(self)
    }
}

fn results() -> String {
    DiscoveryResult::ALL.map(DiscoveryResult::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_it_asks_for_or_what_is_wrong() {
        let read = |query: &str| AddressQuery::default().read(query);
        let asked = read(
            "result=dropped,invalid&q=A%20b&receiver=betanet%2Fx&source=file_sd_configs/0&offset=20&limit=5",
        );
        assert_eq!(
            asked,
            Ok(AddressQuery {
                receiver: Some("betanet/x".to_owned()),
                filter: AddressFilter {
                    text: "a b".to_owned(),
                    results: vec!["dropped".to_owned(), "invalid".to_owned()],
                    source: Some("file_sd_configs/0".to_owned()),
                },
                offset: 20,
                limit: 5,
            })
        );
        assert_eq!(
            read("q=&result=&receiver=&source="),
            Ok(AddressQuery::default())
        );
        for (query, error) in [
            ("limit=0", AddressQueryError::Limit),
            ("offset=x", AddressQueryError::Offset),
            ("result=lost", AddressQueryError::Result("lost".to_owned())),
            ("state=open", AddressQueryError::Unknown("state".to_owned())),
        ] {
            assert_eq!(read(query), Err(error));
        }
    }
}

//! Finds the request for the next page.

use std::collections::HashSet;

use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::Url;

use crate::{
    definition::{PageClue, PageSource, Pages, PagesError},
    receivers::http_json::http::redirect,
};

/// All pages together may be this many times `body_limit`.
pub(crate) const TIMES_BODY_LIMIT: u64 = 8;

/// Goes from page to page of one answer.
pub(super) struct PageWalk<'p> {
    pages: &'p Pages,
    /// What was requested.
    visited: HashSet<String>,
    /// The number in the query, where that leads to the next page.
    number: u64,
}

/// Where a page is.
#[derive(Clone, Copy)]
pub(super) struct PageAddress<'u> {
    /// What was requested.
    pub(super) asked: &'u Url,
    /// Where redirects led; to this, what a page says of the next one is relative (RFC 3986, 5.1.3).
    pub(super) at: &'u Url,
}

impl<'u> PageAddress<'u> {
    /// A page that no redirect led to.
    pub(super) fn unmoved(url: &'u Url) -> Self {
        Self {
            asked: url,
            at: url,
        }
    }
}

/// What follows a page.
#[derive(Debug, PartialEq)]
pub(super) enum NextPage {
    /// There is none.
    None,
    /// There is one, and `max` pages were read.
    OverMax,
    /// It is here.
    At(Url),
}

/// Why there is no next page, although there should be one.
#[derive(Debug, thiserror::Error)]
pub(super) enum NextPageError {
    #[error(transparent)]
    Clue(#[from] PagesError),
    #[error(
        "page {page} leads to another origin, {to}: it is not followed, because headers and \
         credentials stay with the target"
    )]
    Elsewhere { page: usize, to: String },
    #[error("page {page} leads to no URL of HTTP")]
    NoUrl { page: usize },
    #[error("page {page} leads back to a page that was read before")]
    Loop { page: usize },
    #[error(
        "page {page} is the same as the one before it: does the API know the parameter \
         `{parameter}`?"
    )]
    Same { page: usize, parameter: String },
    #[error("`pages`: the first page has nothing at `until_empty: {path}`: {hint}")]
    Missing { path: String, hint: String },
    #[error("the time of the poll was over after {pages} pages")]
    Time { pages: usize },
    #[error(
        "the answers together are larger than {limit_bytes} bytes, which is {TIMES_BODY_LIMIT} \
         times `body_limit`"
    )]
    TooLarge { limit_bytes: u64 },
}

impl<'p> PageWalk<'p> {
    /// Goes on from the first request, whose URL gets what it lacks.
    pub(super) fn from(pages: &'p Pages, first: &mut Url) -> Self {
        let number = match &pages.source {
            PageSource::Number {
                parameter, from, ..
            } => {
                set_parameter(first, parameter, &from.to_string());
                *from
            }
            _ => 0,
        };
        Self {
            pages,
            visited: HashSet::from([first.as_str().to_owned()]),
            number,
        }
    }

    /// What follows a page.
    pub(super) fn next(
        &mut self,
        from: PageAddress<'_>,
        clue: Result<PageClue, PagesError>,
        headers: &HeaderMap,
    ) -> Result<NextPage, NextPageError> {
        let (page, url) = (self.visited.len(), from.asked);
        let next = match (&self.pages.source, clue?) {
            (_, PageClue::Last) => return Ok(NextPage::None),
            (PageSource::Number { until_empty, .. }, PageClue::Missing(hint)) if page == 1 => {
                return Err(NextPageError::Missing {
                    path: until_empty.text().to_owned(),
                    hint,
                });
            }
            (_, PageClue::Missing(_)) => return Ok(NextPage::None),
            (PageSource::Next(_), PageClue::At(text)) => joined(from.at, &text, page)?,
            (PageSource::Cursor { parameter, .. }, PageClue::At(text)) => {
                let mut next = url.clone();
                set_parameter(&mut next, parameter, &text);
                next
            }
            (
                PageSource::Number {
                    parameter, step, ..
                },
                _,
            ) => {
                self.number = self.number.saturating_add(*step);
                let mut next = url.clone();
                set_parameter(&mut next, parameter, &self.number.to_string());
                next
            }
            (_, _) => match linked(headers) {
                Some(text) => joined(from.at, &text, page)?,
                None => return Ok(NextPage::None),
            },
        };
        if next.origin() != url.origin() {
            let to = redirect::shown(&next);
            return Err(NextPageError::Elsewhere { page, to });
        }
        if self.visited.contains(next.as_str()) {
            return Err(NextPageError::Loop { page });
        }
        if page >= self.pages.max {
            return Ok(NextPage::OverMax);
        }
        self.visited.insert(next.as_str().to_owned());
        Ok(NextPage::At(next))
    }

    /// Whether two pages that are the same cannot be right, and what the parameter is called.
    pub(super) fn number_parameter(&self) -> Option<&str> {
        match &self.pages.source {
            PageSource::Number { parameter, .. } => Some(parameter),
            _ => None,
        }
    }
}

/// A URL, or a path, that a page leads to.
fn joined(url: &Url, text: &str, page: usize) -> Result<Url, NextPageError> {
    let no_url = NextPageError::NoUrl { page };
    let Ok(mut next) = url.join(text) else {
        return Err(no_url);
    };
    next.set_fragment(None);
    // Credentials in it are not used.
    let is_plain = next.set_username("").is_ok() && next.set_password(None).is_ok();
    match is_plain && matches!(next.scheme(), "http" | "https") {
        true => Ok(next),
        false => Err(no_url),
    }
}

/// Sets a parameter of the query; all others stay as they are written.
fn set_parameter(url: &mut Url, name: &str, value: &str) {
    let is_other = |part: &&str| {
        let written = part.split('=').next().unwrap_or_default().replace('+', " ");
        percent_decode_str(&written).decode_utf8_lossy() != name
    };
    let query = url.query().unwrap_or_default();
    let others = query.split('&').filter(|part| !part.is_empty());
    let mut parts: Vec<_> = others.filter(is_other).map(str::to_owned).collect();
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    parts.push(format!("{}={}", encoded(name), encoded(value)));
    url.set_query(Some(&parts.join("&")));
}

/// What a header `Link` of any bytes leads to, for `fuzz/`: nothing, or a URL of HTTP without
/// credentials.
pub(in crate::receivers::http_json) fn fuzz_link(data: &[u8]) {
    let (Ok(value), Ok(from)) = (
        HeaderValue::from_bytes(data),
        Url::parse("http://a:1/b?c=d"),
    ) else {
        return;
    };
    let found = linked(&HeaderMap::from_iter([(header::LINK, value)]));
    if let Some(Ok(next)) = found.map(|text| joined(&from, &text, 1)) {
        assert!(matches!(next.scheme(), "http" | "https"), "{next}");
        assert!(
            next.username().is_empty() && next.password().is_none(),
            "{next}"
        );
    }
}

/// The target of `rel="next"` in the headers `Link` (RFC 8288 §3).
fn linked(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::LINK).iter();
    let texts = values.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
    texts.into_iter().find_map(next_of)
}

fn next_of(mut rest: &str) -> Option<String> {
    while let Some((_, behind)) = rest.split_once('<') {
        let (target, parameters) = behind.split_once('>')?;
        let (is_next, left) = is_next(parameters);
        if is_next {
            return Some(target.trim().to_owned());
        }
        rest = left;
    }
    None
}

/// Whether the parameters of a link say that it is the next one, and what stands behind them.
fn is_next(mut rest: &str) -> (bool, &str) {
    let mut relation: Option<bool> = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let Some(parameter) = rest.strip_prefix(';') else {
            return (relation.unwrap_or_default(), rest);
        };
        let end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
        let (name, behind) = parameter.split_at_checked(end).unwrap_or((parameter, ""));
        rest = behind;
        if let Some(value) = behind.strip_prefix('=') {
            let (value, behind) = parameter_value(value.trim_start_matches([' ', '\t']));
            rest = behind;
            if name.trim().eq_ignore_ascii_case("rel") && relation.is_none() {
                let mut types = value.split_ascii_whitespace();
                relation = Some(types.any(|of| of.eq_ignore_ascii_case("next")));
            }
        }
    }
}

/// A token or a quoted text, and what stands behind it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        let (token, behind) = text.split_at_checked(end).unwrap_or((text, ""));
        return (token.trim().to_owned(), behind);
    };
    let (mut value, mut is_escaped) = (String::new(), false);
    for (at, letter) in quoted.char_indices() {
        match letter {
            '\\' if !is_escaped => is_escaped = true,
            '"' if !is_escaped => return (value, quoted.get(at + 1..).unwrap_or_default()),
            _ => {
                value.push(letter);
                is_escaped = false;
            }
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::definition::Path;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn walk(source: PageSource, first: &str) -> (Pages, Url) {
        (Pages { max: 3, source }, url(first))
    }

    fn next_path() -> PageSource {
        PageSource::Next(Path::parse("$.next").unwrap())
    }

    #[test]
    fn links_are_read_as_the_rfc_has_it() {
        for (link, expected) in [
            (r#"</b>; rel="next""#, Some("/b")),
            (r#"</a>; rel=prev, </b>; rel=next"#, Some("/b")),
            (
                r#"</a>;rel="last" , </b?x=1,2;3> ; title="a, <b>; rel=\"x\"" ; REL="start Next""#,
                Some("/b?x=1,2;3"),
            ),
            (r#"</a>; title="rel=next""#, None),
            (r#"</a>; rel="last"; rel="next""#, None),
            (r#"</a>; rel*=next; x"#, None),
            ("</a>", None),
            ("<", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(header::LINK, link.parse().unwrap())]);
            assert_eq!(linked(&headers).as_deref(), expected, "{link}");
        }
        let several = [r#"</a>; rel="first""#, r#"</b>; rel="next""#];
        let several = several.map(|link| (header::LINK, link.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in several {
            headers.append(name, value);
        }
        assert_eq!(linked(&headers).as_deref(), Some("/b"));
    }

    proptest! {
        #[test]
        fn no_link_is_too_odd(text in "[<>;,=\"\\\\ a-z/]{0,60}") {
            let found = next_of(&text);
            prop_assert!(found.is_none_or(|found| text.contains(&found)));
        }

        #[test]
        fn a_parameter_is_there_once(name in "[a-z&= ]{1,5}", value in ".{0,10}", query in "[a-z=&%+]{0,20}") {
            let mut url = url(&format!("http://a/?{query}"));
            set_parameter(&mut url, &name, &value);
            let found: Vec<_> = url.query_pairs().filter(|(known, _)| *known == name).collect();
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(&found[0].1, &value);
        }
    }

    #[test]
    fn a_parameter_is_set_and_others_stay() {
        for (query, expected) in [
            ("", "after=a%2Fb"),
            ("?x=1%2C2&after=1&y", "x=1%2C2&y&after=a%2Fb"),
            ("?%61fter=1&after", "after=a%2Fb"),
        ] {
            let mut url = url(&format!("http://a/{query}"));
            set_parameter(&mut url, "after", "a/b");
            assert_eq!(url.query(), Some(expected), "{query}");
        }
    }

    #[test]
    fn a_page_behind_a_redirect_leads_on_from_where_it_is() {
        let (pages, mut first) = walk(next_path(), "http://a/hosts");
        let mut walk = PageWalk::from(&pages, &mut first);
        let mut next = |at: &str, to: &str| {
            let from = PageAddress {
                asked: &first,
                at: &url(at),
            };
            let clue = Ok(PageClue::At(to.to_owned()));
            walk.next(from, clue, &HeaderMap::new())
        };
        let second = NextPage::At(url("http://a/v2/hosts/list?page=2"));
        assert_eq!(next("http://a/v2/hosts/list", "?page=2").unwrap(), second);
        let elsewhere = next("http://b/hosts", "?page=3").unwrap_err().to_string();
        assert!(
            elsewhere.contains("another origin, http://b"),
            "{elsewhere}"
        );
    }

    #[test]
    fn a_page_leads_on_within_its_origin_only() {
        let (pages, mut first) = walk(next_path(), "http://a:1/v1/hosts?limit=2");
        let mut walk = PageWalk::from(&pages, &mut first);
        let mut next = |to: &str| {
            let clue = Ok(PageClue::At(to.to_owned()));
            walk.next(PageAddress::unmoved(&first), clue, &HeaderMap::new())
        };
        let at = |text: &str| NextPage::At(url(text));
        assert_eq!(next("?page=2").unwrap(), at("http://a:1/v1/hosts?page=2"));
        for (to, error) in [
            (
                "https://a:1/v1/hosts?token=hunter2",
                "page 2 leads to another origin, https://a:1/v1/hosts?token=[REDACTED]: it is not \
                 followed, because headers and credentials stay with the target",
            ),
            (
                "http://a:1/v1/hosts?limit=2",
                "page 2 leads back to a page that was read before",
            ),
            (
                "http://u:p@a:1/v1/hosts?page=2#x",
                "page 2 leads back to a page that was read before",
            ),
            ("http://", "page 2 leads to no URL of HTTP"),
            ("file:///etc/passwd", "page 2 leads to no URL of HTTP"),
        ] {
            assert_eq!(next(to).unwrap_err().to_string(), error, "{to}");
        }
        assert_eq!(next("/v1/3").unwrap(), at("http://a:1/v1/3"));
        assert_eq!(next("/v1/4").unwrap(), NextPage::OverMax);
    }

    #[test]
    fn numbers_and_cursors_go_into_the_query() {
        let number = PageSource::Number {
            parameter: "page".to_owned(),
            from: 1,
            step: 1,
            until_empty: Path::parse("$.items").unwrap(),
        };
        let (pages, mut first) = walk(number, "http://a/b?limit=2");
        let mut walk_on = PageWalk::from(&pages, &mut first);
        assert_eq!(first.as_str(), "http://a/b?limit=2&page=1");
        let headers = HeaderMap::new();
        let missing = || Ok(PageClue::Missing("no `items`".to_owned()));
        let wrong = walk_on.next(PageAddress::unmoved(&first), missing(), &headers);
        assert!(wrong.is_err(), "a wrong path is no end");
        let next = walk_on
            .next(PageAddress::unmoved(&first), Ok(PageClue::More), &headers)
            .unwrap();
        assert_eq!(next, NextPage::At(url("http://a/b?limit=2&page=2")));
        let end = walk_on.next(PageAddress::unmoved(&first), missing(), &headers);
        assert_eq!(end.unwrap(), NextPage::None);
        let cursor = PageSource::Cursor {
            path: Path::parse("$.c").unwrap(),
            parameter: "after".to_owned(),
        };
        let (pages, mut first) = walk(cursor, "http://a/b");
        let mut walk_on = PageWalk::from(&pages, &mut first);
        let at = |text: &str| Ok(PageClue::At(text.to_owned()));
        let next = walk_on
            .next(PageAddress::unmoved(&first), at("x y&z"), &headers)
            .unwrap();
        assert_eq!(next, NextPage::At(url("http://a/b?after=x%20y%26z")));
        assert!(
            walk_on
                .next(PageAddress::unmoved(&first), at("x y&z"), &headers)
                .is_err()
        );
    }
}

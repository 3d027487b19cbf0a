//! Where the saved pages of an answer are asked for, so that something can serve them.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use reqwest::Url;

use super::pages::{NextPage, PageAddress, PageWalk};
use crate::{
    definition::{Endpoint, PageClue, PageSource, Pages},
    receivers::http_json::format::reader::Reader,
};

/// Where all of them are. It is never asked.
const ORIGIN: &str = "http://saved.invalid";

/// The largest page that is read, in bytes.
const PAGE_BYTES_MAX: u64 = 64 << 20;

/// A saved page.
#[derive(Debug, PartialEq)]
pub struct SavedPage {
    /// Path and query of its request.
    pub path: String,
    /// Its text, which leads to no other origin.
    pub text: Bytes,
    /// The header `Link` with which it leads to the next one.
    pub link: Option<HeaderValue>,
}

/// The pages of one answer, as far as each leads to the next. `path` is that of the first request.
pub(crate) fn saved_pages(endpoint: &Endpoint, path: &str, texts: &[Bytes]) -> Vec<SavedPage> {
    let whole = |text: &Bytes| SavedPage {
        path: path.to_owned(),
        text: text.clone(),
        link: None,
    };
    let url = format!("{ORIGIN}{path}").parse::<Url>();
    let (Some(pages), Ok(mut url)) = (&endpoint.pages, url) else {
        return texts.first().map(whole).into_iter().collect();
    };
    let reader = Reader::new(endpoint, PAGE_BYTES_MAX);
    let mut walk = PageWalk::from(pages, &mut url);
    let mut found = Vec::new();
    for (number, text) in (1..).zip(texts) {
        let (text, clue) = at_home(&reader, pages, text);
        let is_last = number == texts.len();
        let link = match pages.source {
            PageSource::LinkHeader if !is_last => link(&url, number + 1),
            _ => None,
        };
        let headers = link.iter().map(|link| (header::LINK, link.clone()));
        let from = PageAddress::unmoved(&url);
        let next = walk.next(from, Ok(clue), &HeaderMap::from_iter(headers));
        found.push(SavedPage {
            path: behind_origin(&url),
            text,
            link,
        });
        match next {
            Ok(NextPage::At(next)) => url = next,
            _ => break,
        }
    }
    found
}

/// A header that leads to another page of the same path.
fn link(url: &Url, page: usize) -> Option<HeaderValue> {
    let mut next = url.clone();
    let others = url.query_pairs().filter(|(name, _)| name != "page");
    let page = ("page".into(), page.to_string().into());
    next.query_pairs_mut()
        .clear()
        .extend_pairs(others.chain([page]));
    HeaderValue::try_from(format!("<{}>; rel=\"next\"", behind_origin(&next))).ok()
}

/// A page without the origin of the server that it was saved of, and what it says of the next one.
fn at_home(reader: &Reader, pages: &Pages, text: &Bytes) -> (Bytes, PageClue) {
    let clue = |text: &Bytes| {
        let look = |document: &_| pages.clue(document, text.len());
        let read = reader.read_after(text, look).ok();
        let clue = read.and_then(|(_, clue)| clue.ok());
        clue.unwrap_or(PageClue::Last)
    };
    let said = clue(text);
    let next = match &said {
        PageClue::At(next) => next.parse::<Url>().ok(),
        _ => None,
    };
    let Some(origin) = next.map(|next| next.origin().ascii_serialization()) else {
        return (text.clone(), said);
    };
    let text: Bytes = match std::str::from_utf8(text) {
        Ok(written) => written.replace(&origin, "").into(),
        Err(_) => text.clone(),
    };
    let said = clue(&text);
    (text, said)
}

fn behind_origin(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::from_text;

    fn pages(pages: &str, texts: &[&str]) -> Vec<(String, String, Option<String>)> {
        let text = format!(
            "endpoints: {{ a: {{ path: '/a?limit=2', pages: {pages} }} }}\n\
             metrics: [{{ name: m, instrument: gauge, count: '$.items[*]' }}]"
        );
        let definition = from_text("d", "d.yaml", &text).unwrap();
        let texts: Vec<_> = texts
            .iter()
            .map(|text| Bytes::from((*text).to_owned()))
            .collect();
        let found = saved_pages(&definition.endpoints[0], "/a?limit=2", &texts);
        let shown = found.into_iter().map(|page| {
            let link = page.link.map(|link| link.to_str().unwrap().to_owned());
            (
                page.path,
                String::from_utf8(page.text.to_vec()).unwrap(),
                link,
            )
        });
        shown.collect()
    }

    #[test]
    fn each_page_is_where_the_one_before_leads() {
        let page = |path: &str, text: &str| (path.to_owned(), text.to_owned(), None);
        let next = r#"{"items": [1], "next": "http://node:1/b?page=2"}"#;
        let last = r#"{"items": [2], "next": null}"#;
        assert_eq!(
            pages("{ next: $.next }", &[next, last, "{}"]),
            [
                page("/a?limit=2", r#"{"items": [1], "next": "/b?page=2"}"#),
                page("/b?page=2", last)
            ]
        );
        let (first, second) = (r#"{"items": [1], "c": "x y"}"#, r#"{"items": [2]}"#);
        assert_eq!(
            pages("{ cursor: $.c, parameter: after }", &[first, second]),
            [
                page("/a?limit=2", first),
                page("/a?limit=2&after=x%20y", second)
            ]
        );
        let empty = r#"{"items": []}"#;
        assert_eq!(
            pages(
                "{ parameter: page, from: 1, until_empty: $.items }",
                &[first, empty]
            ),
            [
                page("/a?limit=2&page=1", first),
                page("/a?limit=2&page=2", empty)
            ]
        );
        let mut expected = [page("/a?limit=2", first), page("/a?limit=2&page=2", second)];
        expected[0].2 = Some("</a?limit=2&page=2>; rel=\"next\"".to_owned());
        assert_eq!(pages("{ link_header: true }", &[first, second]), expected);
    }
}

//! Chooses the format of an answer: the supported format that the scraper prefers, or text 0.0.4,
//! by the rules of Prometheus' content negotiation.

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, VARY},
};

use super::escape::Escaping;
use crate::http::{Body, Response};

/// Everything that differs between the answers to two scrapers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputFormat {
    /// The text format.
    pub format: TextFormat,
    /// How names are escaped that not every scraper can read.
    pub escaping: Escaping,
}

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// The format and the content type of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub(super) form: OutputFormat,
    content_type: String,
}

impl Negotiated {
    /// The answer with this body.
    pub(super) fn answer(&self, body: Body) -> Response {
        let mut response = Response::new("text/plain", body);
        if let Ok(content_type) = HeaderValue::from_str(&self.content_type) {
            response.content_type = content_type;
        }
        response.with_header(VARY, HeaderValue::from_static("Accept"))
    }
}

/// What a media range requests: a format, its content type, and an escaping if it has one.
#[derive(Debug, Clone, Copy)]
struct Offer {
    format: TextFormat,
    media: &'static str,
    escaping: Option<Escaping>,
}

/// The format of the answer to a request with these headers.
pub(super) fn negotiate(headers: &HeaderMap, open_metrics: bool) -> Negotiated {
    let text = Offer {
        format: TextFormat::Text,
        media: "text/plain; version=0.0.4",
        escaping: None,
    };
    let mut best = (text, 0.0);
    let lines = headers.get_all(ACCEPT).iter();
    let ranges = lines.filter_map(|line| line.to_str().ok());
    for range in ranges.flat_map(|line| line.split(',')) {
        let (offer, weight) = read(range);
        let offer = offer.filter(|offer| open_metrics || offer.format == TextFormat::Text);
        // Of several equal ones the first one wins.
        if let Some(offer) = offer
            && weight > best.1
        {
            best = (offer, weight);
        }
    }
    let Offer {
        format,
        media,
        escaping,
    } = best.0;
    let said = escaping.map_or_else(String::new, |of| format!("; escaping={}", of.word()));
    Negotiated {
        form: OutputFormat {
            format,
            // A scraper without this parameter may know only the older names.
            escaping: escaping.unwrap_or_default(),
        },
        content_type: format!("{media}{said}; charset=utf-8"),
    }
}

/// The format for one media range, and its weight from 0 to 1.
fn read(range: &str) -> (Option<Offer>, f32) {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let (mut version, mut escaping, mut weight) = (None, None, 1.0);
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim_matches('"');
        match key.trim().to_ascii_lowercase().as_str() {
            "version" => version = Some(value),
            "escaping" => {
                let known = Escaping::ALL.into_iter().find(|of| of.word() == value);
                escaping = Some(known.unwrap_or_default());
            }
            "q" => weight = value.parse().unwrap_or(0.0),
            _ => {}
        }
    }
    let offer = match (media.as_str(), version) {
        ("application/openmetrics-text", None | Some("1.0.0")) => Some((
            TextFormat::OpenMetrics,
            "application/openmetrics-text; version=1.0.0",
        )),
        // These are the same lines with the version that older scrapers request.
        ("application/openmetrics-text", Some("0.0.1")) => Some((
            TextFormat::OpenMetrics,
            "application/openmetrics-text; version=0.0.1",
        )),
        // These are the same lines as 0.0.4, except for names in quotes.
        ("text/plain", Some("1.0.0")) => Some((TextFormat::Text, "text/plain; version=1.0.0")),
        ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => {
            Some((TextFormat::Text, "text/plain; version=0.0.4"))
        }
        _ => None,
    };
    let offer = offer.map(|(format, media)| Offer {
        format,
        media,
        escaping,
    });
    (offer, weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(accept: &str, open_metrics: bool) -> Negotiated {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        negotiate(&headers, open_metrics)
    }

    /// The header of Prometheus 2.42 and 3.
    const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const OPEN_OLD: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8";
    const OPEN_UTF_8: &str =
        "application/openmetrics-text; version=1.0.0; escaping=allow-utf-8; charset=utf-8";
    const TEXT_UTF_8: &str = "text/plain; version=1.0.0; escaping=allow-utf-8; charset=utf-8";

    #[test]
    fn a_scraper_gets_the_format_that_it_prefers() {
        for (accept, expected) in [
            (PROMETHEUS_2, OPEN),
            (PROMETHEUS_3, OPEN_UTF_8),
            ("application/openmetrics-text", OPEN),
            ("application/openmetrics-text;version=0.0.1", OPEN_OLD),
            ("application/openmetrics-text; version=2.0.0", TEXT),
            ("text/plain;q=0.5, application/openmetrics-text;q=0.4", TEXT),
            ("text/plain;version=1.0.0;escaping=allow-utf-8", TEXT_UTF_8),
            ("application/openmetrics-text;q=0", TEXT),
            ("application/openmetrics-text;q=x", TEXT),
            ("application/json", TEXT),
            ("*/*", TEXT),
            ("", TEXT),
        ] {
            let negotiated = ask(accept, true);
            assert_eq!(negotiated.content_type, expected, "{accept}");
            let is_open = expected.starts_with("application/openmetrics-text");
            assert_eq!(negotiated.form.format == TextFormat::OpenMetrics, is_open);
        }
    }

    #[test]
    fn without_openmetrics_every_scraper_gets_text() {
        assert_eq!(ask(PROMETHEUS_2, false).content_type, TEXT);
        assert_eq!(ask(PROMETHEUS_3, false).content_type, TEXT_UTF_8);
    }

    #[test]
    fn names_are_escaped_unless_the_scraper_allows_them() {
        for (escaping, expected) in [
            ("", Escaping::Underscores),
            (";escaping=allow-utf-8", Escaping::AllowUtf8),
            (";escaping=underscores", Escaping::Underscores),
            (";escaping=dots", Escaping::Dots),
            ("; escaping=\"values\"", Escaping::Values),
            (";escaping=unknown one", Escaping::Underscores),
        ] {
            let negotiated = ask(&format!("text/plain;version=1.0.0{escaping}"), true);
            assert_eq!(negotiated.form.escaping, expected, "{escaping}");
            let said = format!("escaping={}", expected.word());
            assert_eq!(
                negotiated.content_type.contains(&said),
                !escaping.is_empty()
            );
        }
    }
}

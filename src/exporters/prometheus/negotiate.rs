//! Which format a scraper gets: what it weighs most of what we write, and text 0.0.4 for everyone
//! else, as in Prometheus' rules of content negotiation.

use http::{HeaderMap, header::ACCEPT};

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// What an answer is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub(super) format: Format,
    pub(super) content_type: &'static str,
}

const TEXT: Negotiated = Negotiated {
    format: Format::Text,
    content_type: "text/plain; version=0.0.4; charset=utf-8",
};
/// Said to who asks for 1.0.0 and names how to escape; our names need no escaping.
const TEXT_ESCAPED: Negotiated = Negotiated {
    format: Format::Text,
    content_type: "text/plain; version=1.0.0; escaping=underscores; charset=utf-8",
};
const OPEN: Negotiated = Negotiated {
    format: Format::OpenMetrics,
    content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};
const OPEN_ESCAPED: Negotiated = Negotiated {
    format: Format::OpenMetrics,
    content_type: "application/openmetrics-text; version=1.0.0; escaping=underscores; charset=utf-8",
};
/// The same lines under the version that older scrapers ask for.
const OPEN_OLD: Negotiated = Negotiated {
    format: Format::OpenMetrics,
    content_type: "application/openmetrics-text; version=0.0.1; charset=utf-8",
};

/// The format of an answer to a request with these headers.
pub(super) fn negotiate(headers: &HeaderMap, open_metrics: bool) -> Negotiated {
    let mut best = (TEXT, 0.0);
    let lines = headers.get_all(ACCEPT).iter();
    let ranges = lines.filter_map(|line| line.to_str().ok());
    for range in ranges.flat_map(|line| line.split(',')) {
        let (offer, weight) = read(range);
        let offer = offer.filter(|offer| open_metrics || offer.format == Format::Text);
        // Of equals the first one stays.
        if let Some(offer) = offer
            && weight > best.1
        {
            best = (offer, weight);
        }
    }
    best.0
}

/// What answers one media range, and its weight from 0 to 1.
fn read(range: &str) -> (Option<Negotiated>, f32) {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let (mut version, mut escaping, mut weight) = (None, false, 1.0);
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        match key.trim().to_ascii_lowercase().as_str() {
            "version" => version = Some(value.trim_matches('"')),
            "escaping" => escaping = true,
            "q" => weight = value.parse().unwrap_or(0.0),
            _ => {}
        }
    }
    let offer = match (media.as_str(), version) {
        ("application/openmetrics-text", None | Some("1.0.0")) if escaping => Some(OPEN_ESCAPED),
        ("application/openmetrics-text", None | Some("1.0.0")) => Some(OPEN),
        ("application/openmetrics-text", Some("0.0.1")) => Some(OPEN_OLD),
        ("text/plain", Some("1.0.0")) => Some(TEXT_ESCAPED),
        ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => Some(TEXT),
        _ => None,
    };
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

    /// What Prometheus 2.42 and 3 send.
    const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    #[test]
    fn a_scraper_gets_what_it_weighs_most() {
        for (accept, expected) in [
            (PROMETHEUS_2, OPEN),
            (PROMETHEUS_3, OPEN_ESCAPED),
            ("application/openmetrics-text", OPEN),
            ("application/openmetrics-text;version=0.0.1", OPEN_OLD),
            ("application/openmetrics-text; version=2.0.0", TEXT),
            ("text/plain;q=0.5, application/openmetrics-text;q=0.4", TEXT),
            (
                "text/plain;version=1.0.0;escaping=allow-utf-8",
                TEXT_ESCAPED,
            ),
            ("application/openmetrics-text;q=0", TEXT),
            ("application/openmetrics-text;q=x", TEXT),
            ("application/json", TEXT),
            ("*/*", TEXT),
            ("", TEXT),
        ] {
            assert_eq!(ask(accept, true), expected, "{accept}");
        }
    }

    #[test]
    fn without_openmetrics_everyone_gets_text() {
        assert_eq!(ask(PROMETHEUS_2, false), TEXT);
        assert_eq!(ask(PROMETHEUS_3, false), TEXT_ESCAPED);
    }
}

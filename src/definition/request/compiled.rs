//! A request, compiled from what a file says of an endpoint.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::utf8_percent_encode;

use super::{
    body::{BodyTemplate, CONTENT_TYPE_NAME, JsonTemplate},
    reference::{Known, Reference, ReferenceError},
    shown::ESCAPED,
    status::AcceptedStatuses,
    template::{RenderError, Scope, Template},
};
use crate::definition::{
    endpoint_file::{BodyFile, EndpointFile, Method},
    status_file::StatusFile,
};

/// What an endpoint is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// How it is asked.
    pub method: Method,
    /// Whether it may be sent again after a connection was lost.
    pub is_idempotent: bool,
    /// Of which statuses the body is read.
    pub accepted: AcceptedStatuses,
    path: Template,
    /// What stands behind a `?` in the path.
    path_query: Option<Template>,
    query: Vec<(String, Template)>,
    headers: Vec<(HeaderName, Template)>,
    body: Option<BodyTemplate>,
    /// The request itself, if it is the same for all targets and at all times.
    fixed: Option<RenderedRequest>,
}

/// A request with its values, which may be secret.
#[derive(Clone, Default, PartialEq)]
pub struct RenderedRequest {
    /// Path and query, to be put behind the URL of the target.
    pub path: String,
    /// Headers; their values are marked so that nothing prints them.
    pub headers: HeaderMap,
    /// The body; empty where there is none.
    pub body: Bytes,
}

impl std::fmt::Debug for RenderedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RenderedRequest").finish_non_exhaustive()
    }
}

impl Default for Request {
    fn default() -> Self {
        Self::compile(&EndpointFile::default(), Known::default(), &mut Vec::new())
    }
}

/// A mistake, and the keys below the endpoint that lead to it.
#[derive(Debug)]
pub(in crate::definition) struct RequestMistake {
    pub(in crate::definition) at: Vec<String>,
    pub(in crate::definition) message: String,
}

impl Request {
    /// Compiles a request; all mistakes at once.
    pub(in crate::definition) fn compile(
        file: &EndpointFile,
        known: Known<'_>,
        mistakes: &mut Vec<RequestMistake>,
    ) -> Self {
        let mut compiler = Compiler { known, mistakes };
        let (path, path_query) = split_query(&file.path);
        let mut request = Self {
            method: file.method,
            is_idempotent: file.idempotent.unwrap_or(file.method != Method::Post),
            accepted: compiler.statuses(&file.accept_status),
            path: compiler.template(path, &["path"]),
            path_query: path_query.map(|query| compiler.template(query, &["path"])),
            query: compiler.query(file),
            headers: compiler.headers(file),
            body: file.body.as_ref().and_then(|body| compiler.body(body)),
            fixed: None,
        };
        compiler.check_method(file);
        if request.is_static() {
            request.fixed = request.render(&Scope::NOTHING).ok();
        }
        request
    }

    /// The request itself, if it is the same for all targets and at all times.
    pub fn fixed(&self) -> Option<&RenderedRequest> {
        self.fixed.as_ref()
    }

    fn is_static(&self) -> bool {
        let queries = self.query.iter().map(|(_, value)| value);
        let headers = self.headers.iter().map(|(_, value)| value);
        let path = [&self.path].into_iter().chain(&self.path_query);
        path.chain(queries).chain(headers).all(Template::is_static)
            && self.body.as_ref().is_none_or(BodyTemplate::is_static)
    }

    /// The request with its values.
    ///
    /// # Errors
    /// If one of them is missing, or cannot stand where it should.
    pub fn render(&self, scope: &Scope<'_>) -> Result<RenderedRequest, RenderError> {
        let body = self.body.as_ref().map(|body| body.render(scope));
        Ok(RenderedRequest {
            path: self.path(scope)?,
            headers: self.rendered_headers(scope)?,
            body: body.transpose()?.unwrap_or_default(),
        })
    }

    fn path(&self, scope: &Scope<'_>) -> Result<String, RenderError> {
        let mut path = self.path.render(scope, segment)?;
        let is_elsewhere = |segment: &str| [".", ".."].contains(&segment);
        if !self.path.is_static()
            && let Some(segment) = path.split('/').find(|it| is_elsewhere(it))
        {
            return Err(RenderError::Segment(format!("`{segment}`")));
        }
        let mut separator = '?';
        if let Some(query) = &self.path_query {
            path.push(separator);
            path.push_str(&query.render(scope, |_, value| Ok(encoded(&value)))?);
            separator = '&';
        }
        for (name, value) in &self.query {
            path.push(separator);
            separator = '&';
            path.push_str(&encoded(name));
            path.push('=');
            path.push_str(&encoded(&value.plain(scope)?));
        }
        Ok(path)
    }

    fn rendered_headers(&self, scope: &Scope<'_>) -> Result<HeaderMap, RenderError> {
        let mut headers = HeaderMap::new();
        if let Some(body) = &self.body {
            headers.insert(CONTENT_TYPE_NAME, body.content_type());
        }
        for (name, value) in &self.headers {
            let value = HeaderValue::from_str(&value.plain(scope)?);
            let mut value = value.map_err(|_quoting| RenderError::Header(name.to_string()))?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }
}

/// A value in a path, where an empty one would be another path.
fn segment(reference: &Reference, value: String) -> Result<String, RenderError> {
    match value.is_empty() {
        true => Err(RenderError::Segment(reference.shown())),
        false => Ok(encoded(&value)),
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Splits a path at the first `?` that is not within a reference.
fn split_query(path: &str) -> (&str, Option<&str>) {
    let mut is_within = false;
    let at = path.char_indices().find(|(index, letter)| {
        is_within = match letter {
            '{' => path.get(..*index).is_some_and(|it| it.ends_with('$')) || is_within,
            '}' => false,
            _ => is_within,
        };
        *letter == '?' && !is_within
    });
    match at.and_then(|(index, _)| path.split_at_checked(index)) {
        Some((path, query)) => (path, query.get(1..)),
        None => (path, None),
    }
}

struct Compiler<'c> {
    known: Known<'c>,
    mistakes: &'c mut Vec<RequestMistake>,
}

impl Compiler<'_> {
    fn mistake(&mut self, at: &[&str], message: impl Into<String>) {
        self.mistakes.push(RequestMistake {
            at: at.iter().map(|&key| key.to_owned()).collect(),
            message: message.into(),
        });
    }

    fn read<T>(&mut self, read: Result<T, ReferenceError>, at: &[&str]) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                self.mistake(at, error.to_string());
                None
            }
        }
    }

    fn template(&mut self, text: &str, at: &[&str]) -> Template {
        let template = Template::parse(text, &self.known);
        self.read(template, at).unwrap_or_default()
    }

    fn statuses(&mut self, files: &[StatusFile]) -> AcceptedStatuses {
        if files.iter().any(|status| status.holds(304)) {
            let message = "304 has no body: it is what a server says of the answer that is kept";
            self.mistake(&["accept_status"], message);
        }
        AcceptedStatuses::of(files.iter().map(StatusFile::range).collect())
    }

    fn query(&mut self, file: &EndpointFile) -> Vec<(String, Template)> {
        let mut query = Vec::new();
        for (name, values) in &file.query {
            for value in &values.0 {
                let value = self.template(&value.0, &["query", name]);
                query.push((name.clone(), value));
            }
        }
        query
    }

    fn headers(&mut self, file: &EndpointFile) -> Vec<(HeaderName, Template)> {
        let mut headers = Vec::new();
        for (name, value) in &file.headers {
            let at = ["headers", name.as_str()];
            let value = self.template(&value.0, &at);
            let Ok(header) = name.parse::<HeaderName>() else {
                self.mistake(&at, "is not a header name: letters, digits and `-`");
                continue;
            };
            if OURS.contains(&header.as_str()) {
                self.mistake(&at, "is a header that the collector sets itself");
            }
            let text = value.is_static().then(|| value.plain(&Scope::NOTHING));
            if text.is_some_and(|text| text.is_ok_and(|text| HeaderValue::from_str(&text).is_err()))
            {
                let message = "has a value with what no header can hold, such as a line break";
                self.mistake(&at, message);
            }
            headers.push((header, value));
        }
        headers
    }

    fn body(&mut self, file: &BodyFile) -> Option<BodyTemplate> {
        let count = usize::from(file.json.is_some())
            + usize::from(file.form.is_some())
            + usize::from(file.text.is_some());
        if count != 1 {
            let message = "give one of `json: …`, `form: {…}` and `text: …`";
            self.mistake(&["body"], message);
            return None;
        }
        if let Some(json) = &file.json {
            let read = JsonTemplate::parse(json, &self.known);
            return self.read(read, &["body", "json"]).map(BodyTemplate::Json);
        }
        if let Some(text) = &file.text {
            return Some(BodyTemplate::Text(self.template(text, &["body", "text"])));
        }
        let fields = file.form.as_ref()?.iter();
        let fields = fields.map(|(name, value)| {
            let value = self.template(&value.0, &["body", "form", name]);
            (name.clone(), value)
        });
        Some(BodyTemplate::Form(fields.collect()))
    }

    fn check_method(&mut self, file: &EndpointFile) {
        if file.body.is_some() && file.method != Method::Post {
            let message = format!("a {} has no body: write `method: POST`", file.method.name());
            self.mistake(&["body"], message);
        }
        if file.idempotent == Some(false) && file.method != Method::Post {
            let message = format!("a {} can always be sent again", file.method.name());
            self.mistake(&["idempotent"], message);
        }
    }
}

/// Headers that only the client knows how to set.
const OURS: [&str; 8] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "if-modified-since",
    "if-none-match",
    "te",
    "transfer-encoding",
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use serde_json::json;

    use super::*;
    use crate::{
        definition::Parameters,
        yaml::{self, Diagnostics},
    };

    fn compiled(text: &str) -> Result<Request, Vec<String>> {
        let mut diagnostics = Diagnostics::new();
        let node = yaml::parse("test.yaml", text, &mut diagnostics).unwrap();
        let file = yaml::decode::<EndpointFile>(&node, "", &mut diagnostics);
        let file = file.unwrap_or_else(|| panic!("{diagnostics}"));
        let mut mistakes = Vec::new();
        let known = Known {
            parameters: &["limit"],
            element: None,
        };
        let request = Request::compile(&file, known, &mut mistakes);
        match mistakes.is_empty() {
            true => Ok(request),
            false => Err(mistakes
                .iter()
                .map(|it| format!("{}: {}", it.at.join("."), it.message))
                .collect()),
        }
    }

    fn rendered(text: &str, zone: &str) -> Result<RenderedRequest, RenderError> {
        let labels = BTreeMap::from([("zone".to_owned(), zone.to_owned())]);
        let parameters = Parameters::of([("limit", json!(200))]);
        compiled(text).unwrap().render(&Scope {
            labels: &labels,
            parameters: &parameters,
            defaults: &parameters,
            element: None,
            since_epoch: Duration::from_secs(1_700_000_000),
        })
    }

    #[test]
    fn values_are_written_for_where_they_stand() {
        let text = r#"
path: "/v1/${target:zone}/x?limit=${param:limit}&zone=${target:zone}"
query: {window: 5m, q: "a&b ${target:zone}", of: [1, true]}
headers: {X-Zone: "z-${target:zone}"}
method: POST
body: {json: {n: "${param:limit}", at: "${now:unix}", text: "say ${target:zone}", list: [1, null]}}
"#;
        let request = rendered(text, "a\nb").unwrap_err();
        assert_eq!(request, RenderError::Header("x-zone".to_owned()));
        let request = rendered(text, "\"u&").unwrap();
        assert_eq!(
            request.path,
            "/v1/%22u%26/x?limit=200&zone=%22u%26&of=1&of=true&q=a%26b%20%22u%26&window=5m"
        );
        assert_eq!(request.headers["x-zone"], "z-\"u&");
        assert_eq!(request.headers["content-type"], "application/json");
        assert!(request.headers["x-zone"].is_sensitive());
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let expected =
            json!({"n": 200, "at": 1_700_000_000, "text": "say \"u&", "list": [1, null]});
        assert_eq!(body, expected);
    }

    #[test]
    fn forms_and_texts_are_sent_as_such() {
        for (body, expected, content_type) in [
            (
                "form: {a: '${target:zone}', b: 2}",
                "a=x%26+y&b=2",
                "application/x-www-form-urlencoded",
            ),
            (
                "text: '<z>${target:zone}</z>'",
                "<z>x& y</z>",
                "text/plain; charset=utf-8",
            ),
        ] {
            let text = format!("path: /\nmethod: POST\nbody: {{{body}}}");
            let request = rendered(&text, "x& y").unwrap();
            assert_eq!(request.body, expected);
            assert_eq!(request.headers["content-type"], content_type);
            let text = format!("{text}\nheaders: {{content-type: a/b}}");
            assert_eq!(rendered(&text, "").unwrap().headers["content-type"], "a/b");
        }
    }

    #[test]
    fn a_value_leads_to_no_other_path() {
        let path = "path: '/a/${target:zone}/b'";
        assert_eq!(
            rendered(path, "..").unwrap_err(),
            RenderError::Segment("`..`".to_owned())
        );
        let empty = rendered(path, "").unwrap_err();
        assert_eq!(
            empty.to_string(),
            "the label `zone` of the target would make another path of it: it is empty, `.` or `..`"
        );
        assert_eq!(rendered(path, "..%2f").unwrap().path, "/a/..%252f/b");
    }

    #[test]
    fn statuses_are_numbers_and_classes() {
        let request = compiled("path: /\naccept_status: [200, 429, 5xx]").unwrap();
        let accepted = |status| request.accepted.holds(status);
        assert!([200, 429, 500, 599].into_iter().all(accepted));
        assert!(![201, 404].into_iter().any(accepted));
        let usual = compiled("path: /").unwrap();
        assert!(usual.accepted.holds(204) && !usual.accepted.holds(301) && usual.is_static());
        assert!(!usual.accepted.holds(199) && usual.is_idempotent);
        assert!(!compiled("{path: /, method: post}").unwrap().is_idempotent);
    }

    #[test]
    fn mistakes_are_named() {
        let text = r#"
path: "/${x:y}"
query: {a: "${param:limt}"}
headers: {"a b": x, Host: x, X-Line: "a\nb"}
body: {json: {a: ["${target:}"]}, text: b}
accept_status: [304]
idempotent: false
"#;
        let mistakes = compiled(text).unwrap_err().join("\n");
        for part in [
            "path: `${x:y}` has an unknown scheme",
            "query.a: there is no parameter `limt` (did you mean `limit`?)",
            "headers.a b: is not a header name",
            "headers.Host: is a header that the collector sets itself",
            "headers.X-Line: has a value with what no header can hold",
            "body: give one of",
            "body: a GET has no body: write `method: POST`",
            "accept_status: 304 has no body",
            "idempotent: a GET can always be sent again",
        ] {
            assert!(mistakes.contains(part), "{part}: {mistakes}");
        }
    }
}

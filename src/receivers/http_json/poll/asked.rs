//! What an endpoint is asked for at one moment.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use reqwest::Url;

use crate::{
    definition::{Parameters, RenderError, RenderedRequest, Request, RequestElement, Scope},
    pipeline::Target,
    runtime::Clock,
};

/// Where an endpoint is at an instance.
#[derive(Debug, Clone)]
pub(crate) enum EndpointUrl {
    /// Always there.
    Fixed(Url),
    /// Below this URL, at a path that is filled in for each request.
    Below(Arc<str>),
}

/// What the values of a request come from.
pub(crate) struct RequestValues {
    pub(crate) request: Arc<Request>,
    pub(crate) target: Arc<Target>,
    /// What the receiver says of the parameters.
    pub(crate) parameters: Arc<Parameters>,
}

/// A request with its values.
pub(crate) struct AskedRequest {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnaskableError {
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("what is put into the path makes no URL of it")]
    Url,
}

impl RequestValues {
    /// The request at an instance, perhaps for an element. The headers of the receiver say more than those of the
    /// definition.
    pub(crate) fn at(
        &self,
        url: &EndpointUrl,
        of_receiver: &HeaderMap,
        element: Option<&RequestElement>,
        clock: &Clock,
    ) -> Result<AskedRequest, UnaskableError> {
        let rendered;
        let request = match self.request.fixed() {
            Some(fixed) => fixed,
            None => {
                rendered = self.rendered(element, clock)?;
                &rendered
            }
        };
        let mut headers = of_receiver.clone();
        for (name, value) in &request.headers {
            if !of_receiver.contains_key(name) {
                headers.append(name, value.clone());
            }
        }
        Ok(AskedRequest {
            url: url.with(&request.path)?,
            headers,
            body: request.body.clone(),
        })
    }

    fn rendered(
        &self,
        element: Option<&RequestElement>,
        clock: &Clock,
    ) -> Result<RenderedRequest, RenderError> {
        let Target {
            labels, definition, ..
        } = &*self.target;
        self.request.render(&Scope {
            labels,
            parameters: &self.parameters,
            defaults: &definition.parameters,
            element,
            since_epoch: clock.since_epoch(),
        })
    }
}

impl EndpointUrl {
    fn with(&self, path: &str) -> Result<Url, UnaskableError> {
        match self {
            Self::Fixed(url) => Ok(url.clone()),
            Self::Below(base) => {
                Url::parse(&format!("{base}{path}")).map_err(|_quoting| UnaskableError::Url)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        time::{Duration, UNIX_EPOCH},
    };

    use http::HeaderValue;

    use super::*;
    use crate::definition::{self, Definition};

    fn asked(definition: &Arc<Definition>) -> Result<AskedRequest, UnaskableError> {
        let mut target = Target::named("a", definition);
        target.labels = Arc::new(BTreeMap::from([("zone".to_owned(), "z".to_owned())]));
        let request = &definition.endpoints.first().unwrap().request;
        let url = match request.fixed() {
            Some(fixed) => EndpointUrl::Fixed(format!("http://a{}", fixed.path).parse().unwrap()),
            None => EndpointUrl::Below("http://a/base".into()),
        };
        let values = RequestValues {
            request: Arc::clone(request),
            target: Arc::new(target),
            parameters: Arc::default(),
        };
        let token = HeaderValue::from_static("1");
        let of_receiver = HeaderMap::from_iter([("x-token".parse().unwrap(), token)]);
        let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(60));
        values.at(&url, &of_receiver, None, &clock)
    }

    fn definition(endpoint: &str) -> Arc<Definition> {
        let text = format!(
            "parameters: {{n: 5}}\nendpoints: {{a: {endpoint}}}\n\
             metrics: [{{name: a, instrument: gauge, value: $.a}}]"
        );
        definition::from_text("a", "a.yaml", &text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn values_come_from_the_target_the_parameters_and_the_clock() {
        let of = definition(
            "{path: '/${target:zone}', method: POST, query: {n: '${param:n}', t: '${now-5s:unix}'}, \
             headers: {X-Token: 2, X-Zone: '${target:zone}'}, body: {json: {n: '${param:n}'}}}",
        );
        let asked = asked(&of).unwrap();
        assert_eq!(asked.url.as_str(), "http://a/base/z?n=5&t=55");
        assert_eq!(asked.headers["x-token"], "1", "the receiver says more");
        assert_eq!(asked.headers["x-zone"], "z");
        assert_eq!(asked.body, r#"{"n":5}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_always_the_same_is_made_once() {
        let of = definition("{path: /a?b=c, headers: {Accept: x/y}}");
        let asked = asked(&of).unwrap();
        assert_eq!(asked.url.as_str(), "http://a/a?b=c");
        assert_eq!(asked.headers["accept"], "x/y");
    }

    #[tokio::test(start_paused = true)]
    async fn a_label_that_a_target_lacks_is_named() {
        let of = definition("{path: '/${target:rack}'}");
        let error = asked(&of).err().unwrap().to_string();
        assert_eq!(
            error,
            "the target has no label `rack`, which the request needs"
        );
    }
}

//! Asks the API of a running collector.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::view::View;
use crate::{
    cli::CommandError,
    overview::{FleetSummary, PipelineGraph, TargetDetail, TargetPage, TargetQuery},
};

/// How long an answer may take: a screen that waits longer is of no use.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the API of a running collector.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
}

/// What a screen shows.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(feature = "top"),
    expect(dead_code, reason = "only the terminal view shows all of it")
)]
pub(super) struct Answers {
    pub(super) fleet: FleetSummary,
    pub(super) targets: TargetPage,
    /// The target that is looked at; none if it has gone.
    pub(super) detail: Option<TargetDetail>,
    /// The pipelines, where those are looked at.
    pub(super) graph: Option<PipelineGraph>,
}

#[derive(Debug, thiserror::Error)]
enum ApiError {
    #[error("no collector answers at {base}; is it running, with `health_check` there?")]
    Unreachable {
        base: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{url} answers with status {status}")]
    Status { url: String, status: u16 },
    #[error("{url} does not answer as the API of a collector")]
    Answer {
        url: String,
        #[source]
        source: serde_json::Error,
    },
}

impl Client {
    /// Of the collector that listens at this URL.
    pub(super) fn new(url: &str) -> Result<Self, CommandError> {
        let base = match url.contains("://") {
            true => url.trim_end_matches('/').to_owned(),
            false => format!("http://{}", url.trim_end_matches('/')),
        };
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        Ok(Self {
            http: http.build()?,
            base,
        })
    }

    /// All that a view shows.
    pub(super) async fn ask(
        &self,
        query: &TargetQuery,
        view: &View,
    ) -> Result<Answers, CommandError> {
        let fleet = self.get("fleet").await?.ok_or_else(|| self.missing())?;
        let targets = format!("targets?{}", words(query));
        let targets = self.get(&targets).await?.ok_or_else(|| self.missing())?;
        let (mut detail, mut graph) = (None, None);
        match view {
            View::Fleet => {}
            View::Target(name) => {
                let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
                detail = self.get(&format!("targets/{name}?read=kept")).await?;
            }
            View::Pipelines => graph = self.get("pipelines").await?,
        }
        Ok(Answers {
            fleet,
            targets,
            detail,
            graph,
        })
    }

    fn missing(&self) -> ApiError {
        ApiError::Status {
            url: self.base.clone(),
            status: 404,
        }
    }

    /// What stands at a path; none if there is nothing.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, CommandError> {
        let url = format!("{}/api/v1/{path}", self.base);
        let failed = |source| ApiError::Unreachable {
            base: self.base.clone(),
            source,
        };
        let answer = self.http.get(&url).send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        match status {
            200 => {}
            404 => return Ok(None),
            status => return Err(ApiError::Status { url, status }.into()),
        }
        let text = answer.bytes().await.map_err(failed)?;
        let read = serde_json::from_slice(&text);
        Ok(Some(
            read.map_err(|source| ApiError::Answer { url, source })?,
        ))
    }
}

/// A query as the API takes it.
fn words(query: &TargetQuery) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    pairs.append_pair("limit", &query.limit.to_string());
    pairs.append_pair("sort", query.sort.name());
    pairs.append_pair("q", &query.text);
    for state in &query.states {
        pairs.append_pair("state", state.name());
    }
    pairs.finish()
}

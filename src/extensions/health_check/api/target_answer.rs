//! What one target says now.

use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use super::Api;
use crate::{
    overview::{metrics, poll_of, problems},
    pipeline::{CacheStatus, CachedAnswer, PollFailure, TargetStatus},
    runtime::heavy,
};

/// What one target says now.
pub(super) struct TargetAnswer<'a> {
    pub(super) api: &'a Api,
    pub(super) status: &'a TargetStatus,
}

impl TargetAnswer<'_> {
    /// Its kept answers while they are young enough, else new ones.
    pub(super) async fn read(&self) -> Value {
        let Self { api, status } = self;
        let definition = &status.target.definition;
        let indices = 0..definition.endpoints.len();
        let reads = join_all(indices.map(|index| status.inner.read(index))).await;
        let bodies = reads.iter().map(|read| read.body.clone());
        let mut poll = poll_of(bodies, api.clock.now());
        let is_large = poll.is_large();
        let mut map = || (api.mapping)(definition, &mut poll);
        let readings = match is_large {
            true => heavy::here(map).await,
            false => map(),
        };
        let served = definition.endpoints.iter().zip(&reads);
        let endpoints: Map<_, _> = served
            .map(|(of, read)| (of.id.to_string(), endpoint(&of.path, read)))
            .collect();
        let is_up = reads.iter().any(|read| {
            let served = read.served;
            served != CacheStatus::Stale && served != CacheStatus::Missing
        });
        // Looked at after the reads, so that it tells what came of them.
        let mut known = json!(api.overview.row(&status.target.name));
        if let Value::Object(known) = &mut known {
            known.insert("up".to_owned(), is_up.into());
            known.insert("endpoints".to_owned(), endpoints.into());
            let totals = api.board.totals().look(&status.target.name);
            let metrics = metrics(definition, &readings, &totals);
            known.insert("metrics".to_owned(), json!(metrics));
            known.insert(
                "problems".to_owned(),
                json!(problems(definition, &readings)),
            );
        }
        known
    }
}

fn endpoint(path: &str, read: &CachedAnswer) -> Value {
    let error = |failure: &PollFailure| json!({ "type": failure.error_type.name(), "message": failure.message });
    json!({
        "path": path,
        "outcome": read.served.name(),
        "age_seconds": read.age.map(|age| (age.as_secs_f64() * 1000.0).round() / 1000.0),
        "error": read.failure.as_ref().map(error),
    })
}

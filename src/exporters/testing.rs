//! Common code of the exporters' tests.

use std::sync::Arc;

use crate::{definition::Definition, pipeline::Target};

/// A target of an API without metrics.
pub(super) fn target(name: &str) -> Arc<Target> {
    Arc::new(Target {
        name: name.to_owned(),
        receiver: "http_json".to_owned(),
        url: "http://a:80".to_owned(),
        replicas: None,
        server_address: "a".to_owned(),
        server_port: 80,
        url_scheme: "http".to_owned(),
        labels: Default::default(),
        definition: Arc::new(Definition {
            name: "test".to_owned(),
            resource: Default::default(),
            endpoints: vec![],
            parameters: crate::definition::Parameters::default(),
            instruments: vec![],
            rules: vec![],
            start: None,
            shares_names: false,
            digest: 0,
        }),
    })
}

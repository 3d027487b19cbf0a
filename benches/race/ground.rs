//! Where a turn takes place: the nodes, the sink, the port of the scrape and a folder.

use std::{fs, net::SocketAddr, path::PathBuf};

use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{Error, Options, nodes};

/// Where a turn takes place.
pub(crate) struct Ground {
    /// The port of the nodes.
    pub(crate) nodes: u16,
    /// The OTLP receiver.
    pub(crate) sink: SocketAddr,
    /// The port of the scrape.
    pub(crate) scrape: u16,
    pub(crate) folder: TempDir,
}

impl Ground {
    pub(crate) async fn new(
        options: &Options,
        nodes: u16,
        sink: SocketAddr,
    ) -> Result<Self, Error> {
        let free = TcpListener::bind("127.0.0.1:0").await?;
        let ground = Self {
            nodes,
            sink,
            scrape: free.local_addr()?.port(),
            folder: TempDir::new()?,
        };
        let targets: Vec<_> = ground.addresses(options).collect();
        let list = json!([{ "targets": targets }]).to_string();
        fs::write(ground.file("targets.json"), list)?;
        Ok(ground)
    }

    pub(crate) fn addresses(&self, options: &Options) -> impl Iterator<Item = String> {
        let port = self.nodes;
        (0..options.targets).map(move |node| format!("{}:{port}", nodes::address(node)))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The number of documents that the nodes sent.
    pub(crate) async fn documents(&self) -> Result<u64, Error> {
        let url = format!("http://127.0.0.1:{}/count", self.nodes);
        Ok(reqwest::get(url).await?.text().await?.parse()?)
    }

    pub(crate) async fn scrape(&self) -> Result<String, Error> {
        let url = format!("http://127.0.0.1:{}/metrics", self.scrape);
        Ok(reqwest::get(url).await?.error_for_status()?.text().await?)
    }
}

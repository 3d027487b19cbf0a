//! The collector under load: its configuration and its process.

use std::{fs, net::SocketAddr, process::Stdio, rc::Rc};

use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{Error, Options, nodes, process::Process, roster::Roster};

/// A running collector with its own directory.
pub(crate) struct Collector {
    pub(crate) process: Process,
    /// The URL of the targets' metrics.
    pub(crate) targets_url: String,
    /// The URL below which its status pages are.
    pub(crate) pages_url: String,
    /// The URL of its own metrics.
    pub(crate) own_url: String,
    /// The list of its targets.
    pub(crate) roster: Rc<Roster>,
    _folder: TempDir,
}

impl Collector {
    /// Starts the release binary. It polls the nodes at `port` and pushes to `sink`.
    pub(crate) async fn start(
        options: &Options,
        port: u16,
        sink: SocketAddr,
    ) -> Result<Self, Error> {
        let folder = TempDir::new()?;
        let (listen, own) = (free_port().await?, free_port().await?);
        let (config, definition) = (
            folder.path().join("c.yaml"),
            folder.path().join("fleet.yaml"),
        );
        fs::write(&definition, nodes::definition(options.endpoints))?;
        let list = folder.path().join("targets.json");
        let roster = Roster::new(list.clone(), port, options)?;
        let text = format!(
            "receivers:
  http_json:
    definition: [{}, betanet-mixnode]
    collection_interval: {}s
    file_sd_configs: [{{ files: ['{}'] }}]
exporters:
  prometheus: {{ endpoint: 127.0.0.1:{listen} }}
  otlp_http: {{ endpoint: 'http://{sink}' }}
extensions:
  status_page: {{ endpoint: 127.0.0.1:{listen} }}
service:
  extensions: [status_page]
  pipelines:
    metrics: {{ receivers: [http_json], exporters: [prometheus, otlp_http] }}
  telemetry:
    logs: {{ level: error }}
    metrics: {{ readers: [{{ pull: {{ exporter: {{ prometheus: {{ port: {own} }} }} }} }}] }}
",
            definition.display(),
            options.interval,
            list.display(),
        );
        fs::write(&config, text)?;
        let program = options.collector.as_os_str();
        let config = config.to_str().ok_or("the folder's name is not UTF-8")?;
        let mut arguments = vec!["--config", config];
        arguments.extend(options.set.iter().flat_map(|set| ["--set", set]));
        let process = Process::start(program, &arguments, Stdio::inherit())?;
        Ok(Self {
            process,
            targets_url: format!("http://127.0.0.1:{listen}/metrics"),
            pages_url: format!("http://127.0.0.1:{listen}"),
            own_url: format!("http://localhost:{own}/metrics"),
            roster,
            _folder: folder,
        })
    }
}

async fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

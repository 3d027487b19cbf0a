//! Who takes part, with the same work for each: the same nodes, a scrape, and pushes by OTLP.

use std::{fs, path::PathBuf, process::Stdio};

use crate::{Error, Options, ground::Ground, nodes, process::Process, telegraf};

/// One that takes part.
pub(crate) enum Contestant {
    Floor,
    Collector,
    /// Its binary.
    Telegraf(PathBuf),
}

impl Contestant {
    pub(crate) fn named(name: &str, options: &Options) -> Result<Self, Error> {
        match name {
            "floor" => Ok(Self::Floor),
            "collector" => Ok(Self::Collector),
            "telegraf" => Ok(Self::Telegraf(match &options.telegraf {
                Some(binary) => binary.clone(),
                None => telegraf::build()?,
            })),
            unknown => Err(format!("there is no {unknown}").into()),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Collector => "collector",
            Self::Telegraf(_) => "telegraf",
        }
    }

    /// Whether it shows and pushes what it polled.
    pub(crate) fn has_outputs(&self) -> bool {
        !matches!(self, Self::Floor)
    }

    pub(crate) fn start(&self, options: &Options, ground: &Ground) -> Result<Process, Error> {
        match self {
            Self::Floor => {
                let this = std::env::current_exe()?;
                let arguments = [
                    format!("--floor={}", ground.nodes),
                    format!("--targets={}", options.targets),
                    format!("--interval={}", options.interval),
                ];
                let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                Process::start(this.as_os_str(), &arguments, Stdio::null())
            }
            Self::Collector => collector(options, ground),
            Self::Telegraf(binary) => telegraf::start(binary, options, ground),
        }
    }
}

fn collector(options: &Options, ground: &Ground) -> Result<Process, Error> {
    let definition = ground.file("fleet.yaml");
    fs::write(&definition, nodes::definition(3))?;
    let text = format!(
        "receivers:
  http_json:
    definition: {}
    collection_interval: {}s
    file_sd_configs: [{{ files: ['{}'] }}]
exporters:
  prometheus: {{ endpoint: 127.0.0.1:{} }}
  otlp_http: {{ endpoint: 'http://{}' }}
service:
  pipelines:
    metrics: {{ receivers: [http_json], exporters: [prometheus, otlp_http] }}
  telemetry: {{ logs: {{ level: error }}, metrics: {{ level: none }} }}
",
        definition.display(),
        options.interval,
        ground.file("targets.json").display(),
        ground.scrape,
        ground.sink,
    );
    let config = ground.file("config.yaml");
    fs::write(&config, text)?;
    let config = config.to_str().ok_or("the folder's name is not UTF-8")?;
    let mut arguments = vec!["--config", config];
    arguments.extend(options.set.iter().flat_map(|set| ["--set", set]));
    let program = options.collector.as_os_str();
    Process::start(program, &arguments, Stdio::null())
}

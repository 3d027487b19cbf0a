//! Telegraf: its binary, built from its Go module with the plugins that it needs here, and its
//! configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{Error, Options, ground::Ground, process::Process};

const MODULE: &str = "github.com/influxdata/telegraf@v1.37.2";

/// The plugins, as build tags.
const TAGS: &str = "custom,inputs.http,parsers.json_v2,outputs.prometheus_client,\
                    outputs.opentelemetry,serializers.influx,migrations";

/// Builds it, once.
pub(crate) fn build() -> Result<PathBuf, Error> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let binary = folder.join("telegraf");
    if binary.exists() {
        return Ok(binary);
    }
    let module = go(folder, &["mod", "download", "-json", MODULE])?;
    let module: Value = serde_json::from_str(&module)?;
    let module = module
        .get("Dir")
        .and_then(Value::as_str)
        .ok_or("no module")?;
    // The folder of a module is read-only, and Go writes to it.
    let source = folder.join("telegraf-source");
    let arguments = ["-r", "--no-preserve=mode", module];
    let copied = Command::new("cp").args(arguments).arg(&source).status()?;
    if !copied.success() {
        return Err("the module cannot be copied".into());
    }
    let output = binary.to_str().ok_or("the folder's name is not UTF-8")?;
    let arguments = [
        "build",
        "-mod=mod",
        "-tags",
        TAGS,
        "-o",
        output,
        "./cmd/telegraf",
    ];
    go(&source, &arguments)?;
    Ok(binary)
}

fn go(folder: &Path, arguments: &[&str]) -> Result<String, Error> {
    let run = Command::new("go")
        .args(arguments)
        .current_dir(folder)
        .envs([("GOFLAGS", "-buildvcs=false"), ("GOWORK", "off")])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("Telegraf is built by Go: {error}"))?;
    match run.status.success() {
        true => Ok(String::from_utf8(run.stdout)?),
        false => Err(format!("go {}: {}", arguments.join(" "), run.status).into()),
    }
}

/// The path of a value in a document, the end of its name, and its type.
const VALUES: [(&str, &str, &str); 4] = [
    ("packets", "packets_total", "uint"),
    ("bytes", "bytes_total", "uint"),
    ("number", "number", "int"),
    ("latency_seconds", "latency_seconds", "float"),
];

pub(crate) fn start(binary: &Path, options: &Options, ground: &Ground) -> Result<Process, Error> {
    let Options { interval, .. } = options;
    let mut text = format!(
        "[agent]\n  interval = \"{interval}s\"\n  flush_interval = \"{interval}s\"\n  \
         metric_buffer_limit = 1000000\n  omit_hostname = true\n  quiet = true\n"
    );
    for endpoint in 0..3 {
        let urls = ground.addresses(options);
        let urls: Vec<_> = urls
            .map(|of| format!("\"http://{of}/e{endpoint}\""))
            .collect();
        text.push_str(&format!(
            "[[inputs.http]]\n  urls = [{}]\n  data_format = \"json_v2\"\n  \
             [[inputs.http.json_v2]]\n    measurement_name = \"fleet_e{endpoint}\"\n",
            urls.join(", ")
        ));
        for (path, name, kind) in VALUES {
            text.push_str(&format!(
                "    [[inputs.http.json_v2.field]]\n      path = \"{path}\"\n      \
                 rename = \"{name}\"\n      type = \"{kind}\"\n"
            ));
        }
    }
    text.push_str(&format!(
        "[[outputs.prometheus_client]]\n  listen = \"127.0.0.1:{}\"\n  metric_version = 2\n  \
         collectors_exclude = [\"gocollector\", \"process\"]\n[[outputs.opentelemetry]]\n  \
         service_address = \"{}\"\n",
        ground.scrape, ground.sink
    ));
    let config = ground.file("telegraf.conf");
    fs::write(&config, text)?;
    let config = config.to_str().ok_or("the folder's name is not UTF-8")?;
    Process::start(binary.as_os_str(), &["--config", config], Stdio::null())
}

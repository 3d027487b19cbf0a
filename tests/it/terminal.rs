//! What commands say on a terminal, and in a pipe nobody sees. `script` makes the terminal.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use betanet_collector::simulator::{Dialect, Node, NodeFault, NodeOptions};
use tempfile::TempDir;

use crate::support::{
    command::{PROGRAM, run_in},
    free_port,
};

/// All that a command shows on a terminal.
fn on_terminal(folder: &Path, arguments: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new("script");
    command
        .args(["-qec", &format!("{PROGRAM} {arguments}"), "/dev/null"])
        .current_dir(folder)
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("TERM", "xterm")])
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("cannot start script: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs script: run tests/run"]
async fn check_says_on_a_terminal_how_far_it_is() {
    let nodes = [(); 3].map(|()| Node::start(NodeOptions::new(Dialect::Betanet)).unwrap());
    nodes[2].set_fault(None, NodeFault::HangBeforeHeaders);
    let folder = TempDir::new().unwrap();
    let targets = nodes.each_ref();
    let targets = targets.map(|node| format!("{{endpoint: '{}'}}", node.url()));
    let config = format!(
        "receivers: {{betanet: {{definition: betanet, timeout: 3s, targets: [{}]}}}}\nexporters: {{debug: }}\n\
         service: {{pipelines: {{metrics: {{receivers: [betanet], exporters: [debug]}}}}}}\n",
        targets.join(", ")
    );
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, config).unwrap();
    let folder = folder.path().to_owned();
    let (seen, piped) = tokio::task::spawn_blocking(move || {
        let seen = on_terminal(&folder, "check --config config.yaml", &[]);
        let piped = run_in(&folder, &["check", "--config", "config.yaml"], &[]);
        (seen, piped)
    })
    .await
    .unwrap();
    let line = "\rasking targets, 2 of 3 have answered or failed: 2 s";
    assert!(seen.contains(line), "{seen:?}");
    assert!(!piped.stderr.contains("asking"), "{}", piped.stderr);
    assert!(
        piped.stdout.contains("no answer within 3 s"),
        "{}",
        piped.stdout
    );
}

#[test]
#[ignore = "needs script: run tests/run"]
fn a_log_has_colors_on_a_terminal_that_wants_them() {
    let shown = |environment: &[(&str, &str)]| {
        let folder = TempDir::new().unwrap();
        let (listen, own) = (free_port(), free_port());
        let arguments = format!(
            "demo --seconds 1 --listen 127.0.0.1:{listen} --telemetry-listen 127.0.0.1:{own}"
        );
        on_terminal(folder.path(), &arguments, environment)
    };
    let colored = shown(&[]);
    assert!(colored.contains("everything is ready"), "{colored:?}");
    assert!(colored.contains("\x1b["), "{colored:?}");
    let plain = shown(&[("NO_COLOR", "1")]);
    assert!(plain.contains("everything is ready"), "{plain:?}");
    assert!(!plain.contains("\x1b["), "{plain:?}");
}

//! How many files and connections a test may have open.

use std::process::Command;

/// Lets this process, and what it starts from now on, have as many as the system allows: a node
/// of a fleet takes one and each connection two more, and many systems begin at 1,024.
pub(crate) fn allow_many() {
    let raised = Command::new("sh")
        .args([
            "-c",
            "prlimit --pid $PPID --nofile=$(ulimit -Hn):$(ulimit -Hn)",
        ])
        .status();
    assert!(raised.unwrap().success(), "prlimit is part of util-linux");
}

//! The number of files and connections that a test may have open.

use std::process::Command;

/// Raises the limit of this process, and of its later children, to the system's maximum: a node of
/// a fleet needs one and each connection two more, and many systems start with 1,024.
pub(crate) fn allow_many() {
    let raised = Command::new("sh")
        .args([
            "-c",
            "prlimit --pid $PPID --nofile=$(ulimit -Hn):$(ulimit -Hn)",
        ])
        .status();
    assert!(raised.unwrap().success(), "prlimit is part of util-linux");
}

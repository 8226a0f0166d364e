//! The demo, run as its users run it, with few calls.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

/// Exit status and last line of a demo.
fn demo(arguments: &[&str]) -> (Option<i32>, String) {
    // Where the demo keeps its logs.
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args([
            "demo",
            "--nodes",
            "2",
            "--workers",
            "2",
            "--calls",
            "12",
            "--rate",
            "20",
        ])
        .args(arguments)
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let figures = String::from_utf8_lossy(&output.stdout);
    assert!(!figures.is_empty(), "{said}");
    let last = figures.lines().last().unwrap_or_default().to_owned();
    (output.status.code(), last)
}

#[test]
fn each_call_reaches_one_worker_and_two_are_noticed() {
    assert_eq!(
        demo(&[]),
        (
            Some(0),
            "demo: calls=12 handled=12 twice=0 lost=0 leftover_channels=0 leftover_subscriptions=0"
                .to_owned()
        )
    );
    let (status, line) = demo(&["--sabotage"]);
    assert_eq!(status, Some(1), "{line}");
    assert!(
        line.starts_with("demo: calls=12 handled=0 twice=12 lost=0 "),
        "{line}"
    );
}

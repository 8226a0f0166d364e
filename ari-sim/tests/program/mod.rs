//! The program `ari-sim`, run by a test: nothing is waited for without end, and it never outlives the test.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// Longest wait for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A program that runs; it is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    out: Receiver<String>,
    told: Receiver<String>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ari-sim"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let (line, out) = channel();
        thread::spawn(move || {
            for read in stdout.lines() {
                // Nobody reads on where the test is over.
                let _ = line.send(read.unwrap());
            }
        });
        let (all, told) = channel();
        thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            let _ = all.send(text);
        });
        Self { child, out, told }
    }

    /// The next line that it prints.
    pub(crate) fn line(&self) -> String {
        self.out.recv_timeout(LIMIT).unwrap()
    }

    /// Where it says that it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let line = self.line();
        let (_, url) = line.split_once("http://").unwrap();
        url.strip_suffix("/ari").unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// What it wrote to stderr, once it has ended well.
    pub(crate) fn ended(self) -> String {
        let (text, succeeded) = self.end();
        assert!(succeeded, "{text}");
        text
    }

    fn end(mut self) -> (String, bool) {
        let text = self.told.recv_timeout(LIMIT).unwrap();
        (text, self.child.wait().unwrap().success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it says when it cannot do what it is to do.
pub(crate) fn fails(arguments: &[&str]) -> String {
    let (text, succeeded) = Running::start(arguments).end();
    assert!(!succeeded, "{text}");
    text
}

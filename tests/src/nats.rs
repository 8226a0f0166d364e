//! Real nats-servers, each with ports of its own.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{monitor, until::until};

/// Where `cargo xtask test` puts it.
const FETCHED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/nats/bin/nats-server"
);

/// A running nats-server; it is killed when this is dropped.
#[derive(Debug)]
pub struct NatsServer {
    process: Child,
    client: String,
    monitor: String,
    route: Option<String>,
    _directory: TempDir,
}

impl NatsServer {
    /// Starts a server of its own.
    ///
    /// # Panics
    /// There is no nats-server, or it does not start.
    pub async fn start() -> Self {
        Self::run(&[]).await
    }

    /// Starts servers that are one cluster, and waits until each knows all others.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_cluster(size: usize) -> Vec<Self> {
        let listen = ["--cluster_name", "test", "--cluster", "nats://127.0.0.1:-1"];
        let mut servers: Vec<Self> = Vec::new();
        for _ in 0..size {
            let mut arguments = listen.to_vec();
            let route = servers.first().and_then(|first| first.route.clone());
            if let Some(route) = &route {
                arguments.extend(["--routes", route]);
            }
            servers.push(Self::run(&arguments).await);
        }
        for server in &servers {
            until("the routes between nats-servers", || async {
                let routes = monitor::get(&server.monitor, "/routez").await?;
                let peers: std::collections::BTreeSet<_> = routes["routes"]
                    .as_array()?
                    .iter()
                    .filter_map(|route| route["remote_id"].as_str())
                    .collect();
                (peers.len() == size - 1).then_some(())
            })
            .await;
        }
        servers
    }

    async fn run(arguments: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let program = program();
        let process = Command::new(&program)
            .args(["-a", "127.0.0.1", "-p", "-1", "-m", "-1"])
            .arg("--ports_file_dir")
            .arg(directory.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()));
        let file = directory
            .path()
            .join(format!("nats-server_{}.ports", process.id()));
        // From here on, a panic kills the process.
        let mut server = Self {
            process,
            client: String::new(),
            monitor: String::new(),
            route: None,
            _directory: directory,
        };
        let ports = until("nats-server to start", || async { ports(&file) }).await;
        let url = |name: &str| Some(ports[name].get(0)?.as_str()?.to_owned());
        server.client = url("nats").unwrap();
        server.monitor = url("monitoring").unwrap();
        server.route = url("cluster");
        server
    }

    /// Where clients connect, as in `nats://127.0.0.1:4222`.
    pub fn url(&self) -> &str {
        &self.client
    }

    /// Where clients connect, as in `127.0.0.1:4222`.
    pub fn address(&self) -> &str {
        self.client.trim_start_matches("nats://")
    }

    /// The connections with the subjects that they are subscribed to, from the server's monitoring.
    ///
    /// # Panics
    /// The monitoring does not answer.
    pub async fn connections(&self) -> Vec<monitor::Connection> {
        monitor::connections(&self.monitor).await
    }

    /// Kills the server at once.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ports(file: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// `$NATS_SERVER_BIN`, what `cargo xtask test` has fetched, or one on `PATH`.
fn program() -> PathBuf {
    if let Some(path) = env::var_os("NATS_SERVER_BIN") {
        return path.into();
    }
    let fetched = PathBuf::from(FETCHED);
    if fetched.is_file() {
        return fetched;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|directory| directory.join("nats-server"))
        .find(|path| path.is_file())
        .expect(
            "these tests need nats-server: run `cargo xtask test`, which fetches it, or set NATS_SERVER_BIN",
        )
}

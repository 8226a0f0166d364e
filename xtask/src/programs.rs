//! Programs that cargo builds.

use std::{
    collections::HashMap,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{cargo, root};

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs(HashMap<String, PathBuf>);

impl Programs {
    /// Builds the programs that these arguments of cargo name, in the profile of everyday work: on a
    /// fresh machine that is ready far sooner than an optimised build, and quick enough.
    pub(crate) fn build(arguments: &[&str]) -> Result<Self> {
        let output = Command::new(cargo())
            .args(["build", "--bins"])
            .args(arguments)
            .args(["--quiet", "--message-format=json-render-diagnostics"])
            .current_dir(root())
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run cargo")?;
        ensure!(output.status.success(), "the programs do not build");
        let messages = String::from_utf8_lossy(&output.stdout);
        Ok(Self(messages.lines().filter_map(executable).collect()))
    }

    /// The path of a program.
    fn path(&self, name: &str) -> Result<&Path> {
        self.0
            .get(name)
            .map(PathBuf::as_path)
            .with_context(|| format!("cargo built no {name}"))
    }

    /// A command that runs a program, with none of the settings that the task was started with.
    pub(crate) fn command(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(self.path(name)?);
        // The logs are files.
        command.env("NO_COLOR", "1");
        for (variable, _) in env::vars_os() {
            let text = variable.to_string_lossy();
            if text.starts_with("ARI_") || text.starts_with("NATS_") || text == "MESSAGEBUS_URL" {
                command.env_remove(&variable);
            }
        }
        Ok(command)
    }
}

/// The program that a message of cargo tells of: name and path.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message.get("executable")?.as_str()?;
    let name = message.pointer("/target/name")?.as_str()?;
    Some((name.to_owned(), path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_messages_of_cargo() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"welcome"},"executable":"/t/welcome"}"#;
        assert_eq!(
            executable(message),
            Some(("welcome".to_owned(), PathBuf::from("/t/welcome")))
        );
        assert_eq!(
            executable(r#"{"target":{"name":"x"},"executable":null}"#),
            None
        );
        assert_eq!(executable("{}"), None);
    }
}

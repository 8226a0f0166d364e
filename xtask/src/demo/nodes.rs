//! The Asterisks of the demo, simulated or real.

use std::{borrow::Cow, convert::Infallible, fmt, path::Path, str::FromStr};

use anyhow::{Result, anyhow};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;

use crate::programs::Programs;

use super::{Arguments, real::Real, simulated::Simulated};

/// What became of one call, from the caller's side: the simulator and `callers` tell it in one form.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub(super) placed_at_ms: u64,
    pub(super) answered_at_ms: Option<u64>,
    pub(super) answers: u32,
    pub(super) heard: Vec<Heard>,
    pub(super) digits_taken: String,
    pub(super) bridged: u32,
    pub(super) hung_up_by: Option<String>,
    pub(super) ended_at_ms: Option<u64>,
}

/// Something that a caller heard.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Heard {
    pub(super) media: String,
    pub(super) to_end: bool,
}

/// How to reach the ARI of an Asterisk. The password goes to programs by their environment only.
#[derive(Clone)]
pub(super) struct AsteriskUrl {
    url: String,
    username: String,
    password: String,
}

impl AsteriskUrl {
    pub(super) fn new(url: &str, username: &str, password: &str) -> Self {
        Self {
            url: url.to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }

    /// Tells a program how to reach it.
    pub(super) fn tell(&self, command: &mut std::process::Command) {
        command
            .env("ARI_HTTP_URL", &self.url)
            .env("ARI_USERNAME", &self.username)
            .env("ARI_PASSWORD", &self.password);
    }
}

impl fmt::Debug for AsteriskUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsteriskUrl").field(&self.url).finish()
    }
}

/// A URL with credentials as it was given; what is wrong with it must be said without them.
#[derive(Clone)]
pub(super) struct GivenUrl(String);

impl fmt::Debug for GivenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenUrl")
    }
}

impl FromStr for GivenUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl GivenUrl {
    /// Takes the credentials out.
    pub(super) fn read(&self) -> Result<AsteriskUrl> {
        let wrong = |what: &str| {
            anyhow!("--asterisk {what}: write it as http://user:password@host:8088/ari")
        };
        let mut url = Url::parse(&self.0).map_err(|_| wrong("is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("is no HTTP URL"));
        }
        let decode = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8();
            decoded.map(Cow::into_owned).ok()
        };
        let username = decode(url.username()).filter(|name| !name.is_empty());
        let password = url.password().and_then(decode);
        let (Some(username), Some(password)) = (username, password) else {
            return Err(wrong("names no user and password"));
        };
        let (Ok(()), Ok(())) = (url.set_username(""), url.set_password(None)) else {
            return Err(wrong("is no HTTP URL"));
        };
        Ok(AsteriskUrl {
            url: url.into(),
            username,
            password,
        })
    }
}

/// One Asterisk of the cluster.
#[derive(Debug)]
pub(super) enum Node {
    Simulated(Simulated),
    Real(Real),
}

impl Node {
    /// How its proxy reaches it.
    pub(super) fn url(&self) -> AsteriskUrl {
        match self {
            Self::Simulated(simulated) => simulated.url(),
            Self::Real(real) => real.url(),
        }
    }

    /// Lets calls come to it, one after the other.
    pub(super) async fn place_calls(
        &mut self,
        arguments: &Arguments,
        place: (usize, usize),
        programs: &Programs,
        logs: &Path,
    ) -> Result<()> {
        let (index, nodes) = place;
        let calls = arguments.share(index, nodes);
        let interval = arguments.interval(nodes);
        match self {
            Self::Simulated(simulated) => simulated.place_calls(calls, interval).await,
            Self::Real(real) => {
                real.place_calls(calls, interval, &arguments.endpoint, programs, logs)
            }
        }
    }

    /// How many of its calls have ended.
    pub(super) async fn ended(&self) -> Result<u64> {
        match self {
            Self::Simulated(simulated) => simulated.ended().await,
            Self::Real(real) => Ok(real.ended()),
        }
    }

    /// What became of its calls.
    pub(super) async fn records(&self) -> Result<Vec<Record>> {
        match self {
            Self::Simulated(simulated) => simulated.records().await,
            Self::Real(real) => Ok(real.records()),
        }
    }

    /// How many channels its calls have left behind.
    pub(super) async fn leftover_channels(&mut self) -> Result<u64> {
        match self {
            Self::Simulated(simulated) => simulated.leftover_channels().await,
            Self::Real(real) => real.leftover_channels().await,
        }
    }

    /// Fails if its process has ended before its calls.
    pub(super) fn check(&mut self) -> Result<()> {
        match self {
            Self::Simulated(simulated) => simulated.check(),
            Self::Real(real) => real.check(),
        }
    }
}

/// The name of a node, which is its id in the cluster.
pub(super) fn name(number: u32) -> String {
    format!("node-{number}")
}

/// The real Asterisks, or so many simulated ones where there are none, each listening.
pub(super) async fn start(
    simulated: u32,
    real: &[AsteriskUrl],
    programs: &Programs,
    logs: &Path,
) -> Result<Vec<Node>> {
    if !real.is_empty() {
        let nodes = (1..).zip(real);
        return Ok(nodes
            .map(|(number, url)| Node::Real(Real::new(name(number), url.clone())))
            .collect());
    }
    let mut starting = Vec::new();
    for number in 1..=simulated {
        starting.push(Simulated::spawn(&name(number), programs, logs)?);
    }
    let mut nodes = Vec::new();
    for mut simulated in starting {
        simulated.ready().await?;
        nodes.push(Node::Simulated(simulated));
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_url_and_are_not_shown() {
        let given = GivenUrl("http://ann:p%40ss@pbx:8088/ari".to_owned());
        let url = given.read().unwrap();
        assert_eq!(
            (&*url.url, &*url.username, &*url.password),
            ("http://pbx:8088/ari", "ann", "p@ss")
        );
        assert!(!format!("{given:?} {url:?}").contains("ss"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        for (text, expected) in [
            ("pbx:hush", "is no HTTP URL"),
            ("ann:hush@pbx", "is no HTTP URL"),
            ("http://ann:hush@pbx:port", "is no URL"),
            ("ftp://a:hush@pbx/", "is no HTTP URL"),
            ("http://pbx:8088/ari", "no user and password"),
            ("http://ann@pbx:8088/ari", "no user and password"),
        ] {
            let error = GivenUrl(text.to_owned()).read().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}

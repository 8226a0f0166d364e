//! The opening of a WebSocket.

use std::fmt;

use super::{HttpAnswer, MAX_APPLICATION, invoke::first, text};

/// Versions of the WebSocket protocol that Asterisk speaks.
const VERSIONS: [&str; 3] = ["7", "8", "13"];

/// What is known of an event socket: its applications, and by what its requests are let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Handshake {
    applications: Vec<String>,
    subscribe_all: bool,
    protocol: bool,
    /// `Authorization` and `Host`, as they came.
    headers: Vec<(String, String)>,
    api_key: Option<String>,
}

impl Handshake {
    /// A socket that Asterisk opens itself, whose requests are made by a user of its own.
    pub fn outbound(
        applications: impl IntoIterator<Item = impl Into<String>>,
        subscribe_all: bool,
        user: &str,
        password: &str,
    ) -> Self {
        Self {
            applications: applications.into_iter().map(Into::into).collect(),
            subscribe_all,
            protocol: true,
            headers: Vec::new(),
            api_key: Some(format!("{user}:{password}")),
        }
    }

    /// Reads the opening of a socket by a client that was let in.
    pub(crate) fn read(
        parameters: &[(String, String)],
        headers: &[(&str, &str)],
    ) -> Result<Self, HttpAnswer> {
        let header = |name| first(headers, name);
        let upgrades = header("Upgrade").is_some_and(|kind| kind.eq_ignore_ascii_case("websocket"));
        if !upgrades {
            return Err(HttpAnswer::page(426, "Upgrade Required", ""));
        }
        let refused = || {
            HttpAnswer::new(400, "Bad Request").header("Sec-WebSocket-Version", VERSIONS.join(", "))
        };
        let protocols = header("Sec-WebSocket-Protocol").filter(|protocols| !protocols.is_empty());
        let protocol = match protocols {
            None => false,
            Some(offered) if offered.split(',').any(|name| name.trim() == "ari") => true,
            Some(_) => return Err(refused()),
        };
        let version = header("Sec-WebSocket-Version").unwrap_or_default();
        if !VERSIONS.contains(&version.trim()) || header("Sec-WebSocket-Key").is_none() {
            return Err(refused());
        }
        let wanted = text::find(parameters, "app").unwrap_or_default();
        if wanted.is_empty() {
            let text = "HTTP request is missing param: [app]";
            return Err(HttpAnswer::page(400, "Bad Request", text));
        }
        let applications: Vec<_> = wanted
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        if applications
            .iter()
            .any(|name| name.is_empty() || name.len() > MAX_APPLICATION)
        {
            let text = "Stasis app registration failed";
            return Err(HttpAnswer::page(500, "Internal Server Error", text));
        }
        let kept = ["Authorization", "Host"];
        Ok(Self {
            applications,
            subscribe_all: text::find(parameters, "subscribeAll").is_some_and(text::is_true),
            protocol,
            headers: headers
                .iter()
                .filter(|(name, _)| kept.iter().any(|kept| kept.eq_ignore_ascii_case(name)))
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            api_key: text::find(parameters, "api_key").map(str::to_owned),
        })
    }

    /// The applications, in the order in which they were named.
    pub fn applications(&self) -> &[String] {
        &self.applications
    }

    /// The application in whose name requests are answered: the first one.
    pub fn application(&self) -> &str {
        self.applications.first().map_or("", String::as_str)
    }

    /// Whether the applications hear of everything.
    pub const fn subscribes_to_all(&self) -> bool {
        self.subscribe_all
    }

    /// The subprotocol to be named in the answer.
    pub const fn protocol(&self) -> Option<&'static str> {
        if self.protocol { Some("ari") } else { None }
    }

    pub(crate) fn headers(&self) -> Vec<(&str, &str)> {
        let headers = self.headers.iter();
        headers
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    pub(crate) fn api_key(&self) -> Option<&str> {
        self.api_key.as_deref()
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("applications", &self.applications)
            .field("subscribe_all", &self.subscribe_all)
            .finish_non_exhaustive()
    }
}

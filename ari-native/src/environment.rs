//! How to connect, as the environment says it.

use std::{env, ffi::OsString};

use ari_core::{
    Error, Result,
    subject::{self, NameRole},
};

use crate::{
    address::{HttpAddress, SocketAddress},
    builder::{Builder, builder},
};

const APPLICATION: &str = "ARI_APPLICATION";
const URL: &str = "ARI_URL";
const WEBSOCKET_URL: &str = "ARI_WSURL";
const USER: &str = "ARI_USERNAME";
const PASSWORD: &str = "ARI_PASSWORD";

/// Where ARI is unless a variable says so.
const DEFAULT_URL: &str = "http://localhost:8088/ari";

impl Builder {
    /// Begins a connection as the environment says, by the variables of Go's `ari` package.
    ///
    /// | Variable | Meaning |
    /// | --- | --- |
    /// | `ARI_URL` | URL of ARI; `http://localhost:8088/ari` unless set |
    /// | `ARI_WSURL` | URL of the WebSocket; made of that of ARI unless set |
    /// | `ARI_APPLICATION` | Stasis application, or several with commas between them |
    /// | `ARI_USERNAME`, `ARI_PASSWORD` | as in ari.conf; both or neither |
    ///
    /// A variable that is empty counts as one that is not set. What is not set can still be set on the
    /// builder; an application set there comes after those of the environment.
    ///
    /// # Errors
    /// A variable is not Unicode, cannot be what it should be, or lacks its other half; the message begins
    /// with its name and never shows a URL or a password.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| env::var_os(name))
    }

    /// As `from_env`, with another place to look the variables up.
    pub(crate) fn from_variables(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let variable = |name: &'static str| match lookup(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value).filter(|value| !value.is_empty())),
            Some(Err(_)) => Err(wrong(name, "it is not Unicode")),
        };
        let url = variable(URL)?;
        if let Some(url) = &url {
            HttpAddress::parse(url).map_err(|error| name_it(URL, error))?;
        }
        let mut begun = builder(url.unwrap_or_else(|| DEFAULT_URL.to_owned()));
        if let Some(url) = variable(WEBSOCKET_URL)? {
            SocketAddress::parse(&url).map_err(|error| name_it(WEBSOCKET_URL, error))?;
            begun = begun.websocket_url(url);
        }
        for application in variable(APPLICATION)?.iter().flat_map(|all| all.split(',')) {
            let application = application.trim();
            subject::validate(NameRole::Application, application)
                .map_err(|error| wrong(APPLICATION, error))?;
            begun = begun.application(application);
        }
        match (variable(USER)?, variable(PASSWORD)?) {
            (Some(user), Some(_)) if user.contains(':') => {
                Err(wrong(USER, "it has a colon, which HTTP cannot carry"))
            }
            (Some(user), Some(password)) => Ok(begun.credentials(user, password)),
            (None, None) => Ok(begun),
            (Some(_), None) => Err(wrong(PASSWORD, format!("it is not set, but {USER} is"))),
            (None, Some(_)) => Err(wrong(USER, format!("it is not set, but {PASSWORD} is"))),
        }
    }
}

fn wrong(name: &str, reason: impl std::fmt::Display) -> Error {
    Error::Connect {
        reason: format!("{name}: {reason}"),
        source: None,
    }
}

/// The error of a value, with the variable that it is of.
fn name_it(name: &str, error: Error) -> Error {
    match error {
        Error::Connect { reason, source } => Error::Connect {
            reason: format!("{name}: {reason}"),
            source,
        },
        other => other,
    }
}

//! Who is let in, and which servers of applications are called.

use std::{convert::Infallible, fmt, str::FromStr};

use anyhow::{Context, Result};
use ari_sim::{Outbound, OutboundSocket, Simulator, SimulatorBuilder};

/// A name and a password.
#[derive(Clone)]
pub(crate) struct Credentials {
    name: String,
    password: String,
}

impl FromStr for Credentials {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (name, password) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self {
            name: name.to_owned(),
            password: password.to_owned(),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.name).finish()
    }
}

/// The doors beside the plain one.
#[derive(Debug, clap::Args)]
pub(crate) struct Doors {
    /// User of ARI who may only read; can be given several times.
    #[arg(long, value_name = "NAME:PASSWORD", help_heading = "Access")]
    read_only_user: Vec<Credentials>,

    /// Origin of web pages that may use ARI, or * for all; can be given several times.
    #[arg(long, value_name = "SCHEME://HOST", help_heading = "Access")]
    allowed_origin: Vec<String>,

    /// Opens a WebSocket to the server of an application, and opens it again whenever it is lost.
    #[arg(
        long,
        value_name = "ws://HOST:PORT/PATH",
        requires = "outbound_app",
        help_heading = "Outbound WebSockets"
    )]
    outbound: Option<String>,

    /// Applications of that WebSocket, separated by commas.
    #[arg(
        long,
        value_name = "APP",
        value_delimiter = ',',
        requires = "outbound",
        help_heading = "Outbound WebSockets"
    )]
    outbound_app: Vec<String>,

    /// Opens a WebSocket for each call of these applications instead of one for all.
    #[arg(long, requires = "outbound", help_heading = "Outbound WebSockets")]
    outbound_per_call: bool,

    /// Lets the applications of that WebSocket hear of everything.
    #[arg(long, requires = "outbound", help_heading = "Outbound WebSockets")]
    outbound_subscribe_all: bool,

    /// Credentials for the server of the application.
    #[arg(
        long,
        value_name = "NAME:PASSWORD",
        env = "ARI_SIM_OUTBOUND_CREDENTIALS",
        hide_env_values = true,
        help_heading = "Outbound WebSockets"
    )]
    outbound_credentials: Option<Credentials>,
}

impl Doors {
    /// Sets up who is let in.
    pub(crate) fn set_up(&self, mut builder: SimulatorBuilder) -> SimulatorBuilder {
        for user in &self.read_only_user {
            builder = builder.read_only_user(&user.name, &user.password);
        }
        for origin in &self.allowed_origin {
            builder = builder.allowed_origin(origin);
        }
        builder
    }

    /// Opens the sockets that are to be opened.
    pub(crate) fn dial(self, simulator: &Simulator) -> Result<Option<OutboundSocket>> {
        let Some(uri) = self.outbound else {
            return Ok(None);
        };
        let mut outbound = if self.outbound_per_call {
            Outbound::per_call(uri, self.outbound_app)
        } else {
            Outbound::persistent(uri, self.outbound_app)
        };
        if self.outbound_subscribe_all {
            outbound = outbound.subscribe_all();
        }
        if let Some(credentials) = self.outbound_credentials {
            outbound = outbound.credentials(credentials.name, credentials.password);
        }
        let socket = simulator.dial(outbound).context("in --outbound")?;
        Ok(Some(socket))
    }
}

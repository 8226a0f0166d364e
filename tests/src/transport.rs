//! The transports that the suite runs on.

use std::env;

/// A way from an application to an Asterisk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// The simulator in the same process.
    InProcess,
    /// `ari-native` to the simulator, over HTTP and WebSocket.
    Native,
    /// The same with all requests over the WebSocket.
    RestWs,
    /// The same, but it is the simulator that opens the WebSocket.
    Outbound,
    /// `ari-proxy-client`, a real nats-server, `ari-proxy`, and `ari-native` to the simulator.
    Cluster,
    /// `ari-native` to a real Asterisk.
    Asterisk,
    /// The same with all requests over the WebSocket.
    AsteriskRestWs,
    /// The cluster before a real Asterisk.
    AsteriskCluster,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::InProcess,
        Self::Native,
        Self::RestWs,
        Self::Outbound,
        Self::Cluster,
        Self::Asterisk,
        Self::AsteriskRestWs,
        Self::AsteriskCluster,
    ];

    /// Heading of its column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in process",
            Self::Native => "native",
            Self::RestWs => "rest-ws",
            Self::Outbound => "outbound",
            Self::Cluster => "cluster",
            Self::Asterisk => "asterisk",
            Self::AsteriskRestWs => "asterisk+rest-ws",
            Self::AsteriskCluster => "asterisk+cluster",
        }
    }

    /// Whether there is a real Asterisk behind it.
    pub const fn is_real(self) -> bool {
        matches!(
            self,
            Self::Asterisk | Self::AsteriskRestWs | Self::AsteriskCluster
        )
    }

    /// Whether requests go over the WebSocket that the client opens.
    pub(crate) const fn is_rest_over_websocket(self) -> bool {
        matches!(self, Self::RestWs | Self::AsteriskRestWs)
    }

    /// Whether there is NATS in between.
    pub const fn is_cluster(self) -> bool {
        matches!(self, Self::Cluster | Self::AsteriskCluster)
    }

    /// Whether there are files: Asterisk gives them over HTTP only, which leads nowhere where it is the one
    /// that connects.
    pub const fn has_files(self) -> bool {
        !matches!(self, Self::Outbound)
    }

    /// Whether it can be had here.
    pub fn is_available(self) -> bool {
        !self.is_real() || RealAsterisk::from_environment().is_some()
    }
}

/// Why the columns of a real Asterisk are missing.
pub const NO_ASTERISK: &str =
    "no real Asterisk: set ARI_TEST_URL, ARI_TEST_USERNAME and ARI_TEST_PASSWORD";

/// A real Asterisk that the environment names.
#[derive(Clone)]
pub(crate) struct RealAsterisk {
    pub(crate) url: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl RealAsterisk {
    pub(crate) fn from_environment() -> Option<Self> {
        Some(Self {
            url: env::var("ARI_TEST_URL").ok()?,
            user: env::var("ARI_TEST_USERNAME").ok()?,
            password: env::var("ARI_TEST_PASSWORD").ok()?,
        })
    }

    /// Host and port of its URL, and the path behind them.
    pub(crate) fn parts(&self) -> (String, &str) {
        let rest = self.url.strip_prefix("http://");
        let rest = rest.expect("ARI_TEST_URL is as in http://localhost:8088/ari");
        let (host, path) = rest.split_once('/').unwrap_or((rest, "ari"));
        let port = if host.contains(':') { "" } else { ":80" };
        (format!("{host}{port}"), path)
    }
}

//! Where Asterisk is, and as whom to go there.

use std::fmt;

use ari_core::Error;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

/// What a URL of ARI looks like, for messages.
const EXAMPLE: &str = "it should look like http://127.0.0.1:8088/ari";

/// One end to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Name or address, an IPv6 address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// User name and password.
#[derive(Clone)]
pub(crate) struct Credentials {
    user: String,
    password: SecretString,
}

impl Credentials {
    pub(crate) fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: SecretString::from(password.into()),
        }
    }

    /// The header for Basic authentication; its `Debug` shows nothing.
    pub(crate) fn header(&self) -> Result<HeaderValue, Error> {
        if self.user.contains(':') {
            return Err(wrong(
                "the user name has a colon, which HTTP cannot carry: use another one",
            ));
        }
        let pair = SecretString::from(format!("{}:{}", self.user, self.password.expose_secret()));
        let text = SecretString::from(format!(
            "Basic {}",
            BASE64_STANDARD.encode(pair.expose_secret())
        ));
        let mut value = HeaderValue::from_str(text.expose_secret())
            .map_err(|_| wrong("the credentials cannot be sent: use others"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials([redacted])")
    }
}

/// Where HTTP requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpAddress {
    pub(crate) peer: Peer,
    /// Path up to the operations, without a slash at its end.
    pub(crate) path: String,
}

/// Where the WebSocket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketAddress {
    pub(crate) peer: Peer,
    /// Scheme, host, port and path, without a query.
    pub(crate) url: String,
}

impl HttpAddress {
    /// Reads the URL of ARI, and the credentials in it, which it may carry.
    pub(crate) fn parse(url: &str) -> Result<(Self, Option<Credentials>), Error> {
        let (url, credentials) = take_apart("URL of ARI", url)?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => {
                return Err(wrong(format!(
                    "the URL of ARI is neither http nor https: {EXAMPLE}"
                )));
            }
        };
        let path = url.path().trim_end_matches('/').to_owned();
        Ok((
            Self {
                peer: peer(&url, tls)?,
                path,
            },
            credentials,
        ))
    }

    /// The WebSocket that Asterisk offers beside it.
    pub(crate) fn websocket(&self) -> SocketAddress {
        let scheme = if self.peer.tls { "wss" } else { "ws" };
        let url = format!("{scheme}://{}{}/events", self.peer, self.path);
        SocketAddress {
            peer: self.peer.clone(),
            url,
        }
    }
}

impl SocketAddress {
    /// Reads the URL of the WebSocket, and the credentials in it, which it may carry.
    pub(crate) fn parse(url: &str) -> Result<(Self, Option<Credentials>), Error> {
        let (url, credentials) = take_apart("URL of the WebSocket", url)?;
        let tls = match url.scheme() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => {
                let reason = "the URL of the WebSocket is neither ws nor wss: it should look like \
                              ws://127.0.0.1:8088/ari/events";
                return Err(wrong(reason));
            }
        };
        let peer = peer(&url, tls)?;
        let scheme = if tls { "wss" } else { "ws" };
        let url = format!("{scheme}://{peer}{}", url.path().trim_end_matches('/'));
        Ok((Self { peer, url }, credentials))
    }

    /// The URL to open, with the applications whose events are wanted.
    pub(crate) fn for_applications(
        &self,
        applications: &[String],
        subscribe_all: bool,
    ) -> Result<Url, Error> {
        let mut url =
            Url::parse(&self.url).map_err(|_| wrong("the URL of the WebSocket is wrong"))?;
        url.query_pairs_mut()
            .append_pair("app", &applications.join(","));
        if subscribe_all {
            url.query_pairs_mut().append_pair("subscribeAll", "true");
        }
        Ok(url)
    }
}

/// Parses a URL and takes the credentials out. What it says of a wrong one does not repeat it: there may
/// be a password in it.
fn take_apart(what: &str, text: &str) -> Result<(Url, Option<Credentials>), Error> {
    let mut url = Url::parse(text.trim()).map_err(|error| Error::Connect {
        reason: format!("the {what} cannot be read: {EXAMPLE}"),
        source: Some(error.into()),
    })?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(format!(
            "the {what} has a query or a fragment, which is not for it: {EXAMPLE}"
        )));
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let credentials = (!url.username().is_empty()).then(|| {
        Credentials::new(
            decoded(url.username()),
            decoded(url.password().unwrap_or_default()),
        )
    });
    let stripped = url.set_username("").and_then(|()| url.set_password(None));
    // A URL that can carry none has no host either, which is what `peer` says.
    Ok((url, credentials.filter(|_| stripped.is_ok())))
}

fn peer(url: &Url, tls: bool) -> Result<Peer, Error> {
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err(wrong(format!("the URL names no host: {EXAMPLE}"))),
    };
    let port = url.port().unwrap_or(if tls { 443 } else { 80 });
    Ok(Peer { host, port, tls })
}

fn wrong(reason: impl Into<String>) -> Error {
    Error::Connect {
        reason: reason.into(),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_or_without_a_slash_at_its_end_is_the_same() {
        let (with, _) = HttpAddress::parse("http://pbx:8088/ari/").unwrap();
        let (without, _) = HttpAddress::parse(" http://pbx:8088/ari").unwrap();
        assert_eq!(with, without);
        assert_eq!(with.path, "/ari");
        assert_eq!(with.peer.to_string(), "pbx:8088");
        assert_eq!(with.websocket().url, "ws://pbx:8088/ari/events");
    }

    #[test]
    fn schemes_give_tls_and_ports() {
        let (https, _) = HttpAddress::parse("https://[::1]/pbx/ari").unwrap();
        assert_eq!(
            https.peer,
            Peer {
                host: "::1".into(),
                port: 443,
                tls: true
            }
        );
        assert_eq!(https.websocket().url, "wss://[::1]:443/pbx/ari/events");
        let (socket, _) = SocketAddress::parse("ws://pbx/ari/events").unwrap();
        assert_eq!(
            socket.peer,
            Peer {
                host: "pbx".into(),
                port: 80,
                tls: false
            }
        );
        assert_eq!(
            SocketAddress::parse("https://pbx/e").unwrap().0.url,
            "wss://pbx:443/e"
        );
    }

    #[test]
    fn applications_go_into_the_query() {
        let (address, _) = HttpAddress::parse("http://pbx:8088/ari").unwrap();
        let url = address
            .websocket()
            .for_applications(&["a".into(), "b&c".into()], true)
            .unwrap();
        assert_eq!(
            url.as_str(),
            "ws://pbx:8088/ari/events?app=a%2Cb%26c&subscribeAll=true"
        );
    }

    #[test]
    fn credentials_in_a_url_are_taken_out_of_it() {
        let (address, credentials) =
            HttpAddress::parse("http://us%40er:p%3Ass@pbx:8088/ari").unwrap();
        let credentials = credentials.unwrap();
        let header = credentials.header().unwrap();
        assert_eq!(
            header,
            format!("Basic {}", BASE64_STANDARD.encode("us@er:p:ss"))
        );
        assert_eq!(address.websocket().url, "ws://pbx:8088/ari/events");
        for shown in [
            format!("{address:?}"),
            format!("{credentials:?}"),
            format!("{header:?}"),
        ] {
            assert!(
                !shown.contains("p:ss") && !shown.contains("p%3Ass") && !shown.contains("Basic"),
                "{shown}"
            );
        }
    }

    #[test]
    fn wrong_urls_are_refused_without_showing_them() {
        let urls = [
            "",
            "pbx",
            "pbx:8088/ari",
            "ftp://u:secret@pbx/ari",
            "http://",
            "http://u:secret@pbx:99999/ari",
            "http://pbx/ari?api_key=u:secret",
            "unix:/secret",
        ];
        for url in urls {
            let error = HttpAddress::parse(url).map(|_| ()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(
                matches!(error, Error::Connect { .. }) && !shown.contains("secret"),
                "{url}: {shown}"
            );
        }
    }

    #[test]
    fn a_colon_in_the_user_name_is_refused() {
        assert!(Credentials::new("a:b", "c").header().is_err());
        assert!(
            Credentials::new("a", "p\u{fc}\n").header().is_ok(),
            "base64 carries every password"
        );
    }
}

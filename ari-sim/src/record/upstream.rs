//! Where the recorded Asterisk is.

use std::{error::Error, fmt};

use hyper::Uri;
use percent_encoding::percent_decode_str;

use super::recording::User;

/// The URL of the Asterisk that is recorded.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    authority: String,
    base: String,
    user: Option<User>,
}

impl Upstream {
    /// Reads a URL as in `http://user:password@host:8088/ari`.
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidUpstream> {
        let rest = url
            .strip_prefix("http://")
            .ok_or(InvalidUpstream("it must begin with http://"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, base) = rest.split_at(end);
        let (user, host) = match place.rsplit_once('@') {
            None => (None, place),
            Some((user, host)) => {
                let (name, password) = user
                    .split_once(':')
                    .ok_or(InvalidUpstream("a user needs a password: user:password@"))?;
                let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
                let (name, password) = (decode(name), decode(password));
                (Some(User { name, password }), host)
            }
        };
        let uri: Uri = format!("http://{host}/")
            .parse()
            .map_err(|_| InvalidUpstream("its host is none"))?;
        let authority = uri
            .authority()
            .filter(|authority| !authority.host().is_empty())
            .ok_or(InvalidUpstream("it has no host"))?;
        let authority = match authority.port_u16() {
            Some(_) => authority.to_string(),
            None => format!("{authority}:80"),
        };
        let base = base.trim_end_matches('/');
        Ok(Self {
            authority,
            base: if base.is_empty() { "/ari" } else { base }.to_owned(),
            user,
        })
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The path that ARI is under.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) const fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }
}

/// Why a URL is none of an Asterisk; it does not repeat the URL, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUpstream(&'static str);

impl fmt::Display for InvalidUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for InvalidUpstream {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let upstream = Upstream::parse("http://me:h%40t+1@pbx:8088/ari/").unwrap();
        assert_eq!(upstream.authority(), "pbx:8088");
        assert_eq!(upstream.base(), "/ari");
        let user = upstream.user().unwrap();
        assert_eq!((&*user.name, &*user.password), ("me", "h@t+1"));
        let upstream = Upstream::parse("http://[::1]").unwrap();
        assert_eq!(upstream.authority(), "[::1]:80");
        assert!(upstream.user().is_none());
        for wrong in [
            "",
            "pbx:8088",
            "https://pbx",
            "http://",
            "http://me@pbx",
            "http://a b",
        ] {
            assert!(Upstream::parse(wrong).is_err(), "{wrong}");
        }
    }
}

//! Who may ask, and what.

use std::fmt;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::text;

/// Longest pair of name and password that Asterisk reads.
const MAX_CREDENTIALS: usize = 255;

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A user of ARI, as `ari.conf` has them.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    name: String,
    password: String,
    read_only: bool,
}

impl User {
    /// A user who may do everything.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: password.into(),
            read_only: false,
        }
    }

    /// The same, who may only read.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Whether they may only read.
    pub const fn is_read_only(&self) -> bool {
        self.read_only
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

/// How ARI is set up, as `ari.conf` does it.
#[derive(Clone, Debug, Default)]
pub struct AriConfig {
    pub(crate) users: Vec<User>,
    pub(crate) allowed_origins: Vec<String>,
}

impl AriConfig {
    /// ARI for these users.
    pub fn new(users: impl IntoIterator<Item = User>) -> Self {
        Self {
            users: users.into_iter().collect(),
            allowed_origins: Vec::new(),
        }
    }

    /// The same for web pages of these origins, too; `*` allows all.
    #[must_use]
    pub fn allowed_origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allowed_origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// The user whom headers name by Basic authentication, or else parameters by `api_key`.
    pub(crate) fn user(
        &self,
        headers: &[(&str, &str)],
        parameters: &[(String, String)],
    ) -> Option<&User> {
        let (name, password) = basic(headers).or_else(|| {
            let key = text::find(parameters, "api_key")?;
            let (name, password) = key.split_once(':')?;
            (!password.is_empty()).then(|| (name.to_owned(), password.to_owned()))
        })?;
        self.users
            .iter()
            .find(|user| user.name == name && user.password == password)
    }

    /// Name and password of a user; without a name, of the first who may do everything.
    pub(crate) fn credentials(&self, name: Option<&str>) -> Option<(String, String)> {
        let mut users = self.users.iter();
        let user = users.find(|user| match name {
            Some(name) => user.name == name,
            None => !user.read_only,
        })?;
        Some((user.name.clone(), user.password.clone()))
    }

    pub(crate) fn allows(&self, origin: &str) -> bool {
        self.allowed_origins
            .iter()
            .any(|allowed| allowed == "*" || allowed == origin)
    }
}

/// Name and password of Basic authentication.
fn basic(headers: &[(&str, &str)]) -> Option<(String, String)> {
    let encoded = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .find_map(|(_, value)| value.strip_prefix("Basic "))?;
    let mut decoded = BASE64.decode(encoded.trim()).ok()?;
    decoded.truncate(MAX_CREDENTIALS);
    let decoded = String::from_utf8(decoded).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

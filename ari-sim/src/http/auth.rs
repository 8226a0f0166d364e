//! Who is let in.

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::rest::decode_form;
use crate::simulator::User;

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Nothing,
    Reading,
    Everything,
}

/// Finds the user of a request: by Basic authentication, or by `api_key=name:password` in the query.
pub(crate) fn access(users: &[User], headers: &HeaderMap, query: &str) -> Access {
    let named = |credentials: &str| {
        let (name, password) = credentials.split_once(':')?;
        users.iter().find(|user| user.is(name, password))
    };
    let basic = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let credentials = basic.or_else(|| {
        let key = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("api_key="))?;
        Some(decode_form(key))
    });
    match credentials.as_deref().and_then(named) {
        None => Access::Nothing,
        Some(user) if user.is_read_only() => Access::Reading,
        Some(_) => Access::Everything,
    }
}

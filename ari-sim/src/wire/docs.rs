//! The descriptions of ARI under `/ari/api-docs`.

use super::HttpAnswer;

pub(crate) fn answer(_name: &str, _headers: &[(&str, &str)]) -> HttpAnswer {
    HttpAnswer::refusal(404, "Not Found", "Resource not found")
}

//! From what the calls gave to the answer.

use ari_core::{EntityKind, Error, Response};
use bytes::Bytes;
use serde_json::Value;

use super::{Incoming, Step};
use crate::{
    answer::{self, Extra},
    data,
    failure::{NOT_FOUND, Said},
    json::to_text,
    key::Key,
    kind::{Answer, Failure, KeyUse, Run, Shape},
};

impl Incoming {
    /// Writes the answer, from what the calls gave, in their order and up to the first that failed.
    ///
    /// An answer longer than `max_bytes` loses what Go clients do not look at; if that is not enough, it
    /// becomes an error.
    pub fn respond(&self, answers: &[Result<Response, Error>], max_bytes: usize) -> Bytes {
        let message = match self.success(answers) {
            Ok((content, status, body)) => {
                let body = body.as_ref().map_or(&[][..], |body| body);
                let whole = answer::encode(
                    "",
                    &content,
                    Extra {
                        status,
                        place: &self.place,
                        body,
                    },
                );
                let optional = !matches!(self.kind.run, Run::Extension) && !body.is_empty();
                if whole.len() > max_bytes && optional {
                    answer::encode(
                        "",
                        &content,
                        Extra {
                            status,
                            place: &self.place,
                            body: &[],
                        },
                    )
                } else {
                    whole
                }
            }
            Err(said) => self.error(&said),
        };
        if message.len() <= max_bytes {
            return message;
        }
        self.error(&Said::new(
            format!(
                "the answer of {} bytes is too long for NATS: {max_bytes} are taken",
                message.len()
            ),
            500,
        ))
    }

    fn error(&self, said: &Said) -> Bytes {
        answer::encode(
            &said.text,
            &[],
            Extra {
                status: said.status,
                place: &self.place,
                body: &said.body,
            },
        )
    }

    #[expect(clippy::type_complexity, reason = "used once, and each part is plain")]
    fn success(
        &self,
        answers: &[Result<Response, Error>],
    ) -> Result<(Vec<(&'static str, String)>, u16, Option<Bytes>), Said> {
        let calls = self
            .steps
            .iter()
            .filter(|step| matches!(step, Step::Call(_)))
            .count();
        for (place, answer) in answers.iter().enumerate() {
            let said = match answer {
                Ok(response) if response.is_success() => continue,
                Ok(response) => Said::refused(response),
                Err(error) => Said::failed(error),
            };
            return Err(self.explain(said, place));
        }
        let last = match answers.last() {
            Some(Ok(last)) if answers.len() == calls => Some(last),
            _ if calls == 0 => None,
            _ => return Err(Said::new("the proxy stopped before it was done", 504)),
        };
        let content = self.content(last.map(|response| &response.body))?;
        let whole = matches!(
            self.kind.run,
            Run::Call | Run::CheckAndCall | Run::Extension
        ) && !matches!(self.kind.answer, Answer::Data(..));
        let body = last.filter(|_| whole).map(|response| response.body.clone());
        // The check of something else says nothing about what will be created.
        let status = last
            .filter(|_| whole || self.kind.run == Run::Find)
            .map_or(200, |response| response.status);
        Ok((content, status, body))
    }

    fn explain(&self, said: Said, place: usize) -> Said {
        let Some(request) = &self.request else {
            return said;
        };
        let failure = match (self.kind.run, self.kind.key) {
            (Run::CheckAndCall, KeyUse::Entity(EntityKind::Bridge, _)) if place == 0 => {
                Failure::Data("bridge")
            }
            (Run::CheckAndCall, KeyUse::Entity(EntityKind::Channel, _)) if place == 0 => {
                Failure::Data("channel")
            }
            _ => self.kind.failure,
        };
        said.of(failure, &self.key.id, request)
    }

    /// The Go members of the answer after the error.
    fn content(&self, body: Option<&Bytes>) -> Result<Vec<(&'static str, String)>, Said> {
        let undecodable = |error: String| {
            self.explain(
                Said::new(format!("failed to decode response: {error}"), 502),
                1,
            )
        };
        let json = || {
            let body = body.map_or(&[][..], |body| body);
            serde_json::from_slice::<Value>(body).map_err(|error| undecodable(error.to_string()))
        };
        let found = || {
            data::log_channel(json()?, &self.key.id)
                .map_err(undecodable)?
                .ok_or_else(|| Said::new(NOT_FOUND, 404))
        };
        let own_key = || Key {
            id: self.id_of_key(),
            ..self.key.moved_to(&self.place)
        };
        let new_key = |kind: EntityKind, id: &str, dialog: &str| {
            let key = Key {
                dialog: dialog.to_owned(),
                ..Key::new(kind, id, &self.place)
            };
            vec![("key", key.to_json())]
        };
        let parameter = |name: &str| {
            self.request
                .as_ref()
                .and_then(|request| request.parameters.text(name))
                .unwrap_or_default()
                .into_owned()
        };
        let keys = |kind: EntityKind, id, only: Option<&Key>| {
            let ids = data::ids(&json()?, id).map_err(undecodable)?;
            let keys = ids.into_iter().map(|id| Key::new(kind, id, &self.place));
            let keys: Vec<_> = keys
                .filter(|key| only.is_none_or(|only| only.matches(key)))
                .map(|key| key.to_json())
                .collect();
            // Go leaves out an empty list.
            Ok(if keys.is_empty() {
                Vec::new()
            } else {
                vec![("keys", format!("[{}]", keys.join(",")))]
            })
        };
        match self.kind.answer {
            _ if self.kind.run == Run::Extension => {
                let creates = self
                    .request
                    .as_ref()
                    .and_then(|request| request.operation.creates.as_ref());
                let new = creates.map(|creates| (creates.kind, parameter(creates.id)));
                Ok(new
                    .filter(|(_, id)| !id.is_empty())
                    .map_or_else(Vec::new, |(kind, id)| new_key(kind, &id, "")))
            }
            Answer::Nothing => Ok(Vec::new()),
            Answer::RequestKey => {
                if self.kind.run == Run::Find {
                    found()?;
                }
                Ok(vec![("key", own_key().to_json())])
            }
            Answer::NewKey(kind, name) => Ok(new_key(kind, &parameter(name), "")),
            Answer::NewKeyInDialog(kind, name) => {
                Ok(new_key(kind, &parameter(name), &self.key.dialog))
            }
            Answer::Keys(kind, id) => keys(kind, id, None),
            Answer::MatchingKeys(kind, id) => keys(kind, id, Some(&self.key)),
            Answer::Data(member, shape) => {
                let body = if shape == Shape::Log {
                    found()?
                } else {
                    json()?
                };
                let value = data::to_data(shape, &own_key(), body).map_err(undecodable)?;
                let data = match value {
                    Value::String(text) if text.is_empty() => "{}".to_owned(),
                    value => format!("{{\"{member}\":{}}}", to_text(&value)),
                };
                Ok(vec![("data", data)])
            }
        }
    }

    /// The id of the request's key, or the one that was made for it.
    fn id_of_key(&self) -> String {
        match (self.kind.key, &self.request) {
            (KeyUse::New(_, name, _), Some(request)) => request
                .parameters
                .text(name)
                .unwrap_or_default()
                .into_owned(),
            _ => self.key.id.clone(),
        }
    }
}

//! Endpoints: what is known of them, and messages to them.

use ari_core::Response;
use serde_json::Value;

use super::{
    World,
    json::{Json, array, object},
    options::Outcome as PhoneOutcome,
    params::Params,
    reply::{Outcome, Refused, Reply, ok, refuse},
};

/// The only technology that has endpoints.
const TECHNOLOGY: &str = "PJSIP";

fn not_found() -> Refused {
    refuse(404, "Endpoint not found")
}

impl World {
    /// Whether there is something that `PJSIP` or `PJSIP/<name>` names.
    pub(crate) fn endpoint_exists(&self, name: &str) -> bool {
        name == TECHNOLOGY
            || name
                .strip_prefix("PJSIP/")
                .is_some_and(|name| self.options.phones.contains_key(name))
    }

    /// Whether a phone has registered, so that it can be called.
    pub(crate) fn is_reachable(&self, name: &str) -> bool {
        let began = || {
            self.options
                .phones
                .get(name)
                .is_some_and(|phone| phone.outcome != PhoneOutcome::Unreachable)
        };
        self.system
            .reachable
            .get(name)
            .copied()
            .unwrap_or_else(began)
    }

    pub(crate) fn write_endpoint(&self, name: &str, json: &mut Json) {
        let state = if self.is_reachable(name) {
            "online"
        } else {
            "offline"
        };
        self.write_endpoint_as(name, state, json);
    }

    fn write_endpoint_as(&self, name: &str, state: &str, json: &mut Json) {
        let channels = self.endpoint_channels(name);
        json.text("technology", TECHNOLOGY)
            .text("resource", name)
            .text("state", state);
        json.texts("channel_ids", channels.iter().map(|id| &**id));
    }

    /// The state of an endpoint is told to its subscribers when it changes, and when a channel comes or goes.
    pub(crate) fn tell_endpoint(&mut self, endpoint: &str) {
        let state = if self.is_reachable(endpoint) {
            "online"
        } else {
            "offline"
        };
        self.tell_endpoint_as(endpoint, state);
        self.settle_phone_state(endpoint);
    }

    pub(crate) fn tell_endpoint_as(&mut self, endpoint: &str, state: &str) {
        let audience = self.endpoint_audience(endpoint);
        self.send(&audience, "EndpointStateChange", |world, json| {
            world.head(json, "EndpointStateChange");
            json.object("endpoint", |json| {
                world.write_endpoint_as(endpoint, state, json);
            });
        });
    }

    pub(crate) fn list_endpoints(&self) -> Outcome {
        ok(array(self.options.phones.keys().map(|name| {
            object(|json| self.write_endpoint(name, json))
        })))
    }

    pub(crate) fn list_endpoints_of(&self, params: Params<'_>) -> Outcome {
        let tech = params.text("tech");
        if tech == TECHNOLOGY {
            return self.list_endpoints();
        }
        let message = format!("No Endpoints found - invalid tech {tech}");
        Err(refuse(404, &message))
    }

    pub(crate) fn get_endpoint(&self, params: Params<'_>) -> Outcome {
        let name = self.named_endpoint(params)?;
        ok(object(|json| self.write_endpoint(&name, json)))
    }

    fn named_endpoint(&self, params: Params<'_>) -> Result<String, Refused> {
        let (tech, resource) = (params.text("tech"), params.text("resource"));
        if tech == TECHNOLOGY && self.options.phones.contains_key(&*resource) {
            Ok(resource.into_owned())
        } else {
            Err(not_found())
        }
    }

    pub(crate) fn send_message(&self, params: Params<'_>) -> Outcome {
        self.check_destination(params)?;
        accepted()
    }

    pub(crate) fn send_refer(&self, params: Params<'_>) -> Outcome {
        self.check_destination(params)?;
        // What it refers to is an endpoint that can be reached, or a URI that is taken as it is.
        let refer_to = params.text("refer_to");
        if self.options.phones.contains_key(&*refer_to) && !self.is_reachable(&refer_to) {
            return Err(not_found());
        }
        accepted()
    }

    /// Whether the path or `to` names somebody who can be written to.
    fn check_destination(&self, params: Params<'_>) -> Result<(), Refused> {
        let by_path = params.given("resource").is_some();
        let to = if by_path {
            self.named_endpoint(params)?
        } else {
            params.text("to").into_owned()
        };
        if let Some(Value::Object(variables)) = params.value("variables")
            && !variables.values().all(Value::is_string)
        {
            let message = "Only string values in the 'variables' object allowed";
            return Err(refuse(400, message));
        }
        if to.is_empty() {
            return Err(refuse(400, "To must be specified"));
        }
        let to = if by_path {
            &*to
        } else {
            to.split_once(':')
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(TECHNOLOGY))
                .map(|(_, rest)| rest)
                .ok_or_else(not_found)?
        };
        // An endpoint alone is written to where it registered, one with a URI at that URI.
        let (name, has_uri) = match to.split_once('/') {
            Some((name, uri)) => (name, !self.options.phones.contains_key(uri)),
            None => (to.split('@').next().unwrap_or_default(), false),
        };
        let known = self.options.phones.contains_key(name);
        if known && (has_uri || self.is_reachable(name)) {
            Ok(())
        } else {
            Err(not_found())
        }
    }
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "an operation returns it as its outcome"
)]
fn accepted() -> Outcome {
    Ok(Reply::Now(Response::new(202, "Accepted", "")))
}

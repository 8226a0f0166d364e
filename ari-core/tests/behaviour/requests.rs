//! Requests as HTTP carries them, and back.

use ari_core::{
    Error, HttpRequest, Metadata, Method, Operation, OperationSpec, Request, Unroutable,
    operations::{applications, bridges, channels, endpoints},
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn request(operation: &'static OperationSpec, parameters: Value) -> Request {
    let mut request = Request::new(operation, Metadata::default());
    let Value::Object(parameters) = parameters else {
        panic!("parameters are an object");
    };
    for (name, value) in parameters {
        request.parameters.set(name, value);
    }
    request
}

fn body(http: &HttpRequest) -> Value {
    http.body
        .as_ref()
        .map_or(Value::Null, |body| serde_json::from_slice(body).unwrap())
}

fn back(http: &HttpRequest) -> Request {
    let body = http
        .body
        .as_ref()
        .map(|body| serde_json::from_slice(body).unwrap());
    Request::from_http(http.method.as_str(), &http.target, body.as_ref()).unwrap()
}

#[test]
fn path_segments_are_encoded() {
    for (id, segment) in [
        ("1700000000.1", "1700000000.1"),
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("a?b#c&d", "a%3Fb%23c%26d"),
        ("50%", "50%25"),
        ("%2F", "%252F"),
        ("a..b", "a..b"),
        ("...", "..."),
        ("é;1", "%C3%A9%3B1"),
        ("a\r\nHost: b", "a%0D%0AHost%3A%20b"),
        ("~-_.", "~-_."),
    ] {
        let http = request(channels::Answer::SPEC, json!({ "channelId": id }))
            .to_http()
            .unwrap();
        assert_eq!(http.target, format!("/channels/{segment}/answer"));
        assert_eq!((http.method, http.body.clone()), (Method::Post, None));
        assert_eq!(back(&http).parameters.text("channelId").unwrap(), id);
    }
}

#[test]
fn what_would_be_another_path_is_refused() {
    for id in [json!(""), json!("."), json!(".."), json!(null), json!({})] {
        let error = request(channels::Answer::SPEC, json!({ "channelId": id })).to_http();
        assert!(matches!(error, Err(Error::InvalidRequest(_))), "{id}");
    }
    let error = request(channels::Answer::SPEC, json!({}))
        .to_http()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid request: POST /channels/{channelId}/answer needs a value for channelId"
    );
}

#[test]
fn query_values_are_encoded_by_their_type() {
    let http = request(
        bridges::AddChannel::SPEC,
        json!({ "bridgeId": "b", "channel": ["c/1", "d"], "absorbDTMF": true, "mute": false,
                "role": "a&b=c", "added later": 7, "nothing": null }),
    )
    .to_http()
    .unwrap();
    assert_eq!(http.body, None);
    let (path, query) = http.target.split_once('?').unwrap();
    assert_eq!(path, "/bridges/b/addChannel");
    let mut pairs: Vec<&str> = query.split('&').collect();
    pairs.sort_unstable();
    assert_eq!(
        pairs,
        [
            "absorbDTMF=true",
            "added%20later=7",
            "channel=c%2F1%2Cd",
            "mute=false",
            "role=a%26b%3Dc"
        ]
    );
    let back = back(&http).parameters;
    assert_eq!(back.get("channel"), Some(&json!(["c/1", "d"])));
    assert_eq!(back.get("absorbDTMF"), Some(&json!(true)));
    assert_eq!(back.get("mute"), Some(&json!(false)));
    assert_eq!(back.text("role").unwrap(), "a&b=c");
    assert_eq!(back.text("added later").unwrap(), "7");
    assert_eq!(back.get("nothing"), None);
}

#[test]
fn a_query_that_is_too_long_goes_into_the_body() {
    let channels: Vec<String> = (0..100).map(|n| format!("1700000000.{n:010}")).collect();
    let long = request(
        bridges::AddChannel::SPEC,
        json!({ "bridgeId": "b", "channel": channels, "mute": true }),
    );
    let http = long.to_http().unwrap();
    assert_eq!(http.target, "/bridges/b/addChannel");
    // As it is: there Asterisk takes a text with commas for one item.
    assert_eq!(body(&http), json!({ "channel": channels, "mute": true }));
    let back = back(&http);
    assert_eq!(
        back.parameters.get("channel"),
        long.parameters.get("channel")
    );
    assert_eq!(back.parameters.get("mute"), Some(&json!(true)));
    assert_eq!(back.entities().count(), 101);
    // A text for a list is taken apart as Asterisk does it in a query, and only there.
    let joined = request(
        bridges::AddChannel::SPEC,
        json!({ "bridgeId": "b", "channel": channels.join(",") }),
    );
    let http = joined.to_http().unwrap();
    assert_eq!(body(&http), json!({ "channel": channels }));
    // What has a body of its own keeps its query.
    let variables = json!({ "A": "1" });
    let whole = request(
        bridges::CreateWithId::SPEC,
        json!({ "bridgeId": "b", "name": "n".repeat(3_000), "variables": variables }),
    );
    let http = whole.to_http().unwrap();
    assert!(http.target.len() > 3_000);
    assert_eq!(body(&http), variables);
}

/// Asterisk reads the body of every method.
#[test]
fn a_query_of_a_get_that_is_too_long_goes_into_the_body() {
    let name = "x".repeat(3_000);
    let names = json!([name, "y"]);
    for (operation, parameter, value) in [
        (channels::GetChannelVar::SPEC, "variable", json!(name)),
        (channels::GetChannelVars::SPEC, "variables", names),
    ] {
        let get = request(operation, json!({ "channelId": "c", parameter: value }));
        let http = get.to_http().unwrap();
        assert_eq!(http.method, Method::Get);
        assert!(!http.target.contains('?'), "{}", http.target);
        assert_eq!(body(&http), json!({ parameter: value }));
        assert_eq!(back(&http).parameters.get(parameter), Some(&value));
    }
}

/// Asterisk refuses them in a query: "Too many values".
#[test]
fn a_list_of_128_items_goes_into_the_body() {
    let add = |count: usize| {
        let channels: Vec<_> = (0..count).map(|n| n.to_string()).collect();
        let parameters = json!({ "bridgeId": "b", "channel": channels });
        request(bridges::AddChannel::SPEC, parameters)
            .to_http()
            .unwrap()
    };
    assert!(add(127).body.is_none());
    let http = add(128);
    assert_eq!(http.target, "/bridges/b/addChannel");
    assert_eq!(body(&http)["channel"].as_array().unwrap().len(), 128);
}

#[test]
fn a_list_item_with_a_comma_is_not_torn_apart() {
    let tone = "tone:350+440/500,0/500";
    let parameters =
        json!({ "channelId": "c", "playbackId": "p", "media": [tone, "sound:b"], "lang": "en" });
    let http = request(channels::PlayWithId::SPEC, parameters)
        .to_http()
        .unwrap();
    assert_eq!(http.target, "/channels/c/play/p?lang=en");
    assert_eq!(body(&http), json!({ "media": [tone, "sound:b"] }));
    assert_eq!(
        back(&http).parameters.get("media"),
        Some(&json!([tone, "sound:b"]))
    );
}

#[test]
fn a_body_is_an_object_of_members_or_one_whole_value() {
    let http = request(
        channels::Originate::SPEC,
        json!({ "endpoint": "PJSIP/alice", "variables": { "A": "1" } }),
    )
    .to_http()
    .unwrap();
    assert_eq!(http.target, "/channels?endpoint=PJSIP%2Falice");
    assert_eq!(body(&http), json!({ "variables": { "A": "1" } }));
    assert_eq!(
        back(&http).parameters.get("variables"),
        Some(&json!({ "A": "1" }))
    );
    let filter = json!({ "allowed": [{ "type": "StasisStart" }], "disallowed": [] });
    let http = request(
        applications::Filter::SPEC,
        json!({ "applicationName": "demo", "filter": filter }),
    )
    .to_http()
    .unwrap();
    assert_eq!(http.target, "/applications/demo/eventFilter");
    assert_eq!(body(&http), filter);
    assert_eq!(back(&http).parameters.get("filter"), Some(&filter));
    // An object has no place in a query, so one of an unknown name is not lost there.
    let http = request(
        channels::Answer::SPEC,
        json!({ "channelId": "c", "addedLater": { "a": 1 } }),
    )
    .to_http()
    .unwrap();
    assert_eq!(http.target, "/channels/c/answer");
    assert_eq!(body(&http), json!({ "addedLater": { "a": 1 } }));
    assert_eq!(
        back(&http).parameters.get("addedLater"),
        Some(&json!({ "a": 1 }))
    );
}

#[test]
fn a_body_may_carry_what_belongs_in_the_query_and_yields_to_it() {
    let sent = json!({ "endpoint": "PJSIP/alice", "timeout": "30", "formats": "ulaw,alaw",
                       "app": "body" });
    let read = Request::from_http("POST", "/channels?app=query", Some(&sent)).unwrap();
    assert_eq!(read.parameters.text("endpoint").unwrap(), "PJSIP/alice");
    assert_eq!(read.parameters.get("timeout"), Some(&json!(30)));
    assert_eq!(read.parameters.text("formats").unwrap(), "ulaw,alaw");
    assert_eq!(read.parameters.text("app").unwrap(), "query");
    let sent = json!({ "channel": "c,d", "mute": "yes" });
    let read = Request::from_http("POST", "/bridges/b/addChannel", Some(&sent)).unwrap();
    assert_eq!(read.parameters.get("channel"), Some(&json!(["c", "d"])));
    assert_eq!(read.parameters.get("mute"), Some(&json!(true)));
    // The path is not to be overruled.
    let read = Request::from_http(
        "POST",
        "/channels/c/answer",
        Some(&json!({ "channelId": "d" })),
    );
    assert_eq!(read.unwrap().parameters.text("channelId").unwrap(), "c");
}

#[test]
fn forms_are_read_as_browsers_write_them() {
    let read = Request::from_http(
        "PUT",
        "/endpoints/PJSIP/alice/sendMessage?from=sip%3Ame&body=a+b%2Bc&&odd",
        None,
    )
    .unwrap();
    assert!(std::ptr::eq(
        read.operation,
        endpoints::SendMessageToEndpoint::SPEC
    ));
    assert_eq!(read.parameters.text("body").unwrap(), "a b+c");
    assert_eq!(read.parameters.text("odd").unwrap(), "");
}

#[test]
fn the_most_literal_path_is_meant() {
    let name = |method, target| {
        Request::from_http(method, target, None).map(|request| request.operation.to_string())
    };
    assert_eq!(
        name("POST", "/channels/create").unwrap(),
        "POST /channels/create"
    );
    assert_eq!(
        name("POST", "/channels/externalMedia").unwrap(),
        "POST /channels/externalMedia"
    );
    assert_eq!(
        name("POST", "/channels/c").unwrap(),
        "POST /channels/{channelId}"
    );
    assert_eq!(name("GET", "/nothing"), Err(Unroutable::Path));
    assert_eq!(name("GET", "/channels//answer"), Err(Unroutable::Path));
    assert_eq!(name("GET", ""), Err(Unroutable::Path));
    assert_eq!(
        name("GET", "/channels/c/answer"),
        Err(Unroutable::Method(vec![Method::Post]))
    );
    assert_eq!(
        name("PATCH", "/channels"),
        Err(Unroutable::Method(vec![Method::Get, Method::Post]))
    );
}

#[test]
fn a_request_names_its_entities() {
    let entities = |request: &Request| {
        let entities = request.entities();
        entities
            .map(|(kind, id)| format!("{kind} {id}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        entities(&request(
            channels::Originate::SPEC,
            json!({ "channelId": "c", "originator": "" })
        )),
        ["channel c"]
    );
    assert_eq!(
        entities(&request(
            bridges::AddChannel::SPEC,
            json!({ "bridgeId": "b", "channel": ["c", "d"] })
        )),
        ["bridge b", "channel c", "channel d"]
    );
    assert_eq!(
        entities(&request(
            channels::PlayWithId::SPEC,
            json!({ "channelId": "c", "playbackId": "p", "media": ["sound:a"] })
        )),
        ["channel c", "playback p"]
    );
}

proptest! {
    #[test]
    fn every_text_survives(id in "\\PC{1,40}", value in any::<String>()) {
        prop_assume!(id != "." && id != "..");
        let sent = request(
            channels::SetChannelVar::SPEC,
            json!({ "channelId": id, "variable": "V", "value": value }),
        );
        let http = sent.to_http().unwrap();
        prop_assert!(http.target.is_ascii() && !http.target.contains([' ', '\r', '\n', '#']));
        let back = back(&http);
        prop_assert_eq!(back.parameters.text("channelId").unwrap(), id.as_str());
        prop_assert_eq!(back.parameters.text("value").unwrap(), value.as_str());
    }

    #[test]
    fn no_target_makes_it_panic(target in "[/?&=%a-z0-9{}.]{0,60}", method in "(GET|POST|PUT|DELETE|)") {
        let _ = Request::from_http(&method, &target, Some(&json!({ "x": target })));
    }
}

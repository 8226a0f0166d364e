use serde_json::{Value, json};

use super::Lab;

const OBJECTS: &str = "/asterisk/config/dynamic/res_pjsip";

fn fields(settings: &[(&str, &str)]) -> Value {
    let fields: Vec<_> = settings
        .iter()
        .map(|(name, value)| json!({"attribute": name, "value": value}))
        .collect();
    json!({"fields": fields})
}

fn value(object: &Value, name: &str) -> Option<String> {
    let field = object
        .as_array()?
        .iter()
        .find(|field| field["attribute"] == name)?;
    field["value"].as_str().map(str::to_owned)
}

#[test]
fn an_endpoint_is_made_told_and_deleted() {
    let mut lab = Lab::new();
    let subscription = "/applications/app/subscription?eventSource=endpoint:PJSIP";
    assert_eq!(lab.status("POST", subscription), 200);
    let endpoint = format!("{OBJECTS}/endpoint/zoe");
    let body = fields(&[("aors", "zoe"), ("disallow", "all"), ("allow", "ulaw,alaw")]);
    let (status, object) = lab.send("PUT", &endpoint, Some(&body));
    assert_eq!(status, 200);
    assert_eq!(object.as_array().unwrap().len(), 138);
    assert_eq!(value(&object, "allow").as_deref(), Some("(ulaw|alaw)"));
    let told: Vec<_> = lab
        .events()
        .iter()
        .map(|event| event["endpoint"]["state"].clone())
        .collect();
    assert_eq!(told, ["unknown", "offline"]);

    let body = fields(&[("direct_media", "no"), ("100rel", "required")]);
    let (status, object) = lab.send("PUT", &endpoint, Some(&body));
    assert_eq!(status, 200);
    assert_eq!(value(&object, "direct_media").as_deref(), Some("false"));
    assert_eq!(value(&object, "100rel").as_deref(), Some("required"));
    assert_eq!(value(&object, "allow").as_deref(), Some("(ulaw|alaw)"));
    assert!(lab.types().is_empty());

    let own = "/applications/app/subscription?eventSource=endpoint:PJSIP/zoe";
    assert_eq!(lab.status("POST", own), 200);
    assert_eq!(lab.status("DELETE", &endpoint), 204);
    assert_eq!(lab.status("GET", "/endpoints/PJSIP/zoe"), 404);
    let app = lab.get("/applications/app");
    assert_eq!(app["endpoint_ids"], json!(["PJSIP"]));
}

#[test]
fn an_endpoint_that_was_made_does_not_outlive_a_restart() {
    let mut lab = Lab::new();
    let endpoint = format!("{OBJECTS}/endpoint/zoe");
    let body = fields(&[("aors", "zoe")]);
    assert_eq!(lab.send("PUT", &endpoint, Some(&body)).0, 200);
    lab.world.restart(lab.now, None);
    assert_eq!(lab.status("GET", "/endpoints/PJSIP/zoe"), 404);
    assert_eq!(lab.send("PUT", &endpoint, Some(&body)).0, 200);
}

#[test]
fn objects_are_refused_as_asterisk_refuses_them() {
    let mut lab = Lab::new();
    let invalid =
        |what: &str, id: &str| format!("{what} of object '{id}' failed field value validation");
    for (path, body, status, message) in [
        ("auth/x", json!({}), 400, invalid("Creation", "x")),
        (
            "auth/x",
            fields(&[("username", "x"), ("auth_type", "nonsense")]),
            400,
            invalid("Creation", "x"),
        ),
        (
            "auth/x",
            fields(&[("username", "x"), ("auth_type", "google_oauth")]),
            400,
            invalid("Creation", "x"),
        ),
        (
            "aor/x",
            fields(&[("contact", "nonsense")]),
            400,
            invalid("Creation", "x"),
        ),
        (
            "identify/x",
            fields(&[("endpoint", "bob")]),
            403,
            "Cannot create sorcery objects of type 'identify'".to_owned(),
        ),
        (
            "endpoint/bob",
            fields(&[("context", "other")]),
            403,
            "Cannot update sorcery objects of type 'endpoint'".to_owned(),
        ),
        (
            "aor/bob",
            json!({}),
            400,
            "Fields must be provided to update object 'bob'".to_owned(),
        ),
    ] {
        let (got, answer) = lab.send("PUT", &format!("{OBJECTS}/{path}"), Some(&body));
        assert_eq!(got, status, "{path} {body}");
        assert_eq!(answer["message"], message, "{path} {body}");
    }
    assert_eq!(
        lab.refusal("DELETE", &format!("{OBJECTS}/auth/bob")),
        (403, "Could not delete object with id 'bob'".to_owned())
    );
    assert_eq!(lab.status("PUT", &format!("{OBJECTS}/aor/x")), 200);
}

#[test]
fn an_unloaded_module_takes_what_it_does_with_it() {
    let mut lab = Lab::new();
    let modules = lab.get("/asterisk/modules");
    assert_eq!(modules.as_array().unwrap().len(), 307);
    let module = |name: &str| format!("/asterisk/modules/{name}");
    assert_eq!(
        lab.refusal("DELETE", &module("res_stasis.so")),
        (409, "Module could not be unloaded".to_owned())
    );
    assert_eq!(
        lab.refusal("GET", &module("app_echo")),
        (409, "Module information could not be retrieved".to_owned())
    );
    assert_eq!(
        lab.refusal("POST", &module("cdr_csv.so")),
        (409, "Module load declined".to_owned())
    );
    assert_eq!(lab.status("GET", &module("cdr_csv.so")), 404);

    assert_eq!(lab.status("DELETE", &module("res_ari_sounds.so")), 204);
    assert_eq!(
        lab.refusal("GET", "/sounds"),
        (404, "Resource not found".to_owned())
    );
    assert_eq!(lab.get("/asterisk/modules").as_array().unwrap().len(), 306);
    assert_eq!(lab.status("POST", &module("res_ari_sounds.so")), 204);
    assert_eq!(lab.status("GET", "/sounds"), 200);

    // An application of the dialplan that is not there ends the call.
    assert_eq!(lab.status("DELETE", &module("app_playback.so")), 204);
    lab.call("a", true);
    assert_eq!(lab.status("GET", "/channels/a"), 404);
}

#[test]
fn reloading_a_module_shows_in_the_status() {
    let mut lab = Lab::new();
    let reloaded = |lab: &mut Lab| lab.get("/asterisk/info")["status"]["last_reload_time"].clone();
    let before = reloaded(&mut lab);
    lab.wait(5_000);
    assert_eq!(
        lab.status("PUT", "/asterisk/modules/res_musiconhold.so"),
        204
    );
    assert_ne!(reloaded(&mut lab), before);
    assert_eq!(
        lab.refusal("PUT", "/asterisk/modules/app_echo.so"),
        (409, "Module does not support reloading".to_owned())
    );
}

#[test]
fn sections_of_info_are_named_in_any_case() {
    let mut lab = Lab::new();
    let info = lab.get("/asterisk/info?only=SYSTEM,nonsense");
    assert_eq!(info.as_object().unwrap().len(), 1);
    assert_eq!(lab.get("/asterisk/info?only=nonsense"), json!({}));
    assert_eq!(lab.get("/asterisk/info").as_object().unwrap().len(), 4);
}

#[test]
fn log_channels_are_added_and_lost_when_one_is_rotated() {
    let mut lab = Lab::new();
    let log = "/asterisk/logging";
    assert_eq!(
        lab.refusal("POST", "/asterisk/logging/foolog"),
        (400, "Configuration levels are required".to_owned())
    );
    let add = format!("{log}/foolog?configuration=warning,notice");
    assert_eq!(lab.status("POST", &add), 204);
    assert_eq!(
        lab.refusal("POST", &add),
        (409, "Log channel already exists".to_owned())
    );
    let channels = lab.get(log);
    assert_eq!(
        channels[0],
        json!({
            "channel": "/var/log/asterisk/foolog", "type": "File", "status": "Enabled",
            "configuration": "NOTICE WARNING "
        })
    );
    assert_eq!(channels.as_array().unwrap().len(), 5);
    assert_eq!(lab.status("DELETE", &format!("{log}/foolog")), 204);
    assert_eq!(lab.status("POST", &add), 204);
    assert_eq!(lab.status("PUT", &format!("{log}/foolog/rotate")), 204);
    assert_eq!(
        lab.refusal("DELETE", &format!("{log}/foolog")),
        (404, "Log channel does not exist".to_owned())
    );
    // What the configuration names cannot be deleted.
    assert_eq!(lab.status("DELETE", &format!("{log}/messages")), 404);
    assert_eq!(lab.status("PUT", &format!("{log}/console/rotate")), 404);
}

#[test]
fn sounds_are_listed_with_what_was_added() {
    let mut lab = Lab::with(
        ari_sim::WorldOptions::default().sound("mine", std::time::Duration::from_secs(1)),
    );
    let sounds = lab.get("/sounds");
    assert_eq!(sounds.as_array().unwrap().len(), 569);
    assert_eq!(sounds[0]["id"], "conf-now-unmuted");
    assert_eq!(sounds[568]["id"], "mine");
    let slin = lab.get("/sounds?format=slin&lang=en");
    assert_eq!(slin[0]["formats"].as_array().unwrap().len(), 1);
}

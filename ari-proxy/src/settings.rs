//! Settings of the program: a file, the environment, and flags; the later wins.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use ari_core::subject::{self, NameRole};
use ari_nats::{DEFAULT_URL, NatsOptions};
use clap::Parser;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::Options;

/// Where the ARI of an Asterisk on the same host is.
const DEFAULT_HTTP_URL: &str = "http://localhost:8088/ari";

/// Connects one Asterisk to a NATS cluster, so that ARI applications reach it from anywhere.
///
/// It speaks the protocol of CyCoreSystems/ari-proxy v5, and understands the environment variables of
/// that program. Settings come from the file given by --config, from the environment, and from flags;
/// the later wins.
#[derive(Parser)]
#[command(name = "ari-proxy", version)]
pub struct Flags {
    /// TOML file with settings; its keys are shown in the README
    #[arg(long, value_name = "FILE", env = "ARI_PROXY_CONFIG")]
    config: Option<PathBuf>,

    /// Stasis application to connect as
    #[arg(
        long = "application",
        alias = "ari.application",
        value_name = "NAME",
        env = "ARI_APPLICATION"
    )]
    application: Option<String>,

    /// User of the ARI (ari.conf)
    #[arg(
        long,
        alias = "ari.username",
        value_name = "NAME",
        env = "ARI_USERNAME"
    )]
    username: Option<String>,

    /// Password of that user; better given by the environment, which `ps` does not show
    #[arg(
        long,
        alias = "ari.password",
        value_name = "PASSWORD",
        env = "ARI_PASSWORD",
        hide_env_values = true
    )]
    password: Option<SecretString>,

    /// URL of the ARI, `http://localhost:8088/ari` unless it is set
    #[arg(
        long,
        alias = "ari.http_url",
        value_name = "URL",
        env = "ARI_HTTP_URL",
        hide_env_values = true
    )]
    http_url: Option<String>,

    /// URL of its event WebSocket, made of the HTTP URL unless it is set
    #[arg(
        long,
        alias = "ari.websocket_url",
        value_name = "URL",
        env = "ARI_WEBSOCKET_URL",
        hide_env_values = true
    )]
    websocket_url: Option<String>,

    /// NATS servers, separated by commas, `nats://127.0.0.1:4222` unless it is set
    #[arg(
        long,
        alias = "nats.url",
        value_name = "URL",
        env = "NATS_URL",
        hide_env_values = true
    )]
    nats_url: Option<String>,

    /// The same, as the Go program names it; it wins over --nats-url
    #[arg(
        long,
        alias = "messagebus.url",
        value_name = "URL",
        env = "MESSAGEBUS_URL",
        hide_env_values = true,
        hide = true
    )]
    messagebus_url: Option<String>,

    /// User at NATS
    #[arg(long, value_name = "NAME", env = "NATS_USER")]
    nats_user: Option<String>,

    /// Password of that user
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "NATS_PASSWORD",
        hide_env_values = true
    )]
    nats_password: Option<SecretString>,

    /// Token for NATS
    #[arg(long, value_name = "TOKEN", env = "NATS_TOKEN", hide_env_values = true)]
    nats_token: Option<SecretString>,

    /// Credentials file for NATS
    #[arg(long, value_name = "FILE", env = "NATS_CREDS")]
    nats_creds: Option<PathBuf>,

    /// Certificate authority that NATS is checked against (PEM)
    #[arg(long, value_name = "FILE", env = "NATS_CA")]
    nats_ca: Option<PathBuf>,

    /// Certificate to show to NATS (PEM)
    #[arg(long, value_name = "FILE", env = "NATS_CERT", requires = "nats_key")]
    nats_cert: Option<PathBuf>,

    /// Key of that certificate (PEM)
    #[arg(long, value_name = "FILE", env = "NATS_KEY", requires = "nats_cert")]
    nats_key: Option<PathBuf>,

    /// Beginning of all NATS subjects, its dot included, ari. unless it is set
    #[arg(long, value_name = "PREFIX", env = "ARI_PROXY_PREFIX")]
    prefix: Option<String>,

    /// Node id to use instead of the entity id of the Asterisk; Asterisks on one host need one each
    #[arg(long, value_name = "ID", env = "ARI_PROXY_NODE_ID")]
    node_id: Option<String>,

    /// Seconds between two announcements, 10 unless it is set
    #[arg(long, value_name = "SECONDS", env = "ARI_PROXY_ANNOUNCE_EVERY", value_parser = clap::value_parser!(u64).range(1..))]
    announce_every: Option<u64>,

    /// Wait at the start until Asterisk and NATS are there, instead of giving up
    #[arg(long, env = "ARI_PROXY_WAIT")]
    wait: bool,

    /// Log as JSON lines
    #[arg(long, env = "ARI_PROXY_LOG_JSON")]
    log_json: bool,

    /// Log what happens in detail
    #[arg(short, long, env = "VERBOSE")]
    verbose: bool,
}

/// The settings file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    prefix: Option<String>,
    node_id: Option<String>,
    announce_every: Option<u64>,
    wait: Option<bool>,
    ari: AriTable,
    nats: NatsTable,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AriTable {
    application: Option<String>,
    username: Option<String>,
    password: Option<String>,
    http_url: Option<String>,
    websocket_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NatsTable {
    url: Option<String>,
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
    creds: Option<PathBuf>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// What the program needs to know, put together and checked.
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Stasis application.
    pub application: String,
    /// User of the ARI.
    pub username: String,
    /// Password of that user.
    pub password: SecretString,
    /// URL of the ARI.
    pub http_url: String,
    /// URL of its event WebSocket, where it is not made of the HTTP URL.
    pub websocket_url: Option<String>,
    /// How to connect to NATS.
    pub nats: NatsOptions,
    /// How the server behaves.
    pub server: Options,
    /// Whether to wait for Asterisk and NATS at the start.
    pub wait: bool,
    /// Whether to log as JSON lines.
    pub log_json: bool,
    /// Whether to log in detail.
    pub verbose: bool,
}

impl Settings {
    /// Puts the settings together: the file, and above it environment and flags.
    ///
    /// # Errors
    /// The file cannot be read or has a key that is no setting; a setting is missing or wrong.
    pub fn load(flags: Flags) -> Result<Self> {
        let file = flags
            .config
            .as_deref()
            .map_or_else(|| Ok(File::default()), read)?;
        let application = flags
            .application
            .or(file.ari.application)
            .unwrap_or_default();
        if application.is_empty() {
            bail!(
                "no application: set --application or ARI_APPLICATION to the name of your Stasis application"
            );
        }
        subject::validate(NameRole::Application, &application)?;
        let username = flags.username.or(file.ari.username);
        let username = username
            .context("no user name: set --username or ARI_USERNAME to a user of ari.conf")?;
        let password = flags
            .password
            .or_else(|| file.ari.password.map(SecretString::from));
        let password =
            password.context("no password: set ARI_PASSWORD to the password of that user")?;
        let wait = flags.wait || file.wait.unwrap_or_default();
        let table = NatsTable {
            url: flags.messagebus_url.or(flags.nats_url).or(file.nats.url),
            user: flags.nats_user.or(file.nats.user),
            password: flags
                .nats_password
                .as_ref()
                .map(reveal)
                .or(file.nats.password),
            token: flags.nats_token.as_ref().map(reveal).or(file.nats.token),
            creds: flags.nats_creds.or(file.nats.creds),
            ca: flags.nats_ca.or(file.nats.ca),
            cert: flags.nats_cert.or(file.nats.cert),
            key: flags.nats_key.or(file.nats.key),
        };
        let defaults = Options::default();
        let server = Options {
            prefix: flags.prefix.or(file.prefix).unwrap_or(defaults.prefix),
            node_id: flags.node_id.or(file.node_id),
            announce_every: flags
                .announce_every
                .or(file.announce_every)
                .map_or(defaults.announce_every, |seconds| {
                    Duration::from_secs(seconds.max(1))
                }),
            ..Options::default()
        };
        if let Some(node) = &server.node_id {
            subject::validate(NameRole::Node, node)?;
        }
        Ok(Self {
            application,
            username,
            password,
            http_url: flags
                .http_url
                .or(file.ari.http_url)
                .unwrap_or_else(|| DEFAULT_HTTP_URL.to_owned()),
            websocket_url: flags.websocket_url.or(file.ari.websocket_url),
            nats: nats_options(table)?.wait_for_server(wait),
            server,
            wait,
            log_json: flags.log_json,
            verbose: flags.verbose,
        })
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There may be passwords in the URLs.
        f.debug_struct("Flags").finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("application", &self.application)
            .field("username", &self.username)
            .field("http_url", &ari_nats::without_secrets(&self.http_url))
            .field("nats", &self.nats)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

fn reveal(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}

fn read(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the settings file {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("the settings file {} is wrong", path.display()))
}

fn nats_options(table: NatsTable) -> Result<NatsOptions> {
    let mut options = NatsOptions::new(table.url.as_deref().unwrap_or(DEFAULT_URL));
    match (table.user, table.password) {
        (Some(user), Some(password)) => options = options.user_and_password(user, password),
        (None, None) => {}
        _ => bail!("NATS needs both a user and a password: set NATS_USER and NATS_PASSWORD"),
    }
    if let Some(token) = table.token {
        options = options.token(token);
    }
    if let Some(creds) = table.creds {
        options = options.credentials_file(creds);
    }
    if let Some(ca) = table.ca {
        options = options.root_certificate(ca).require_tls(true);
    }
    match (table.cert, table.key) {
        (Some(cert), Some(key)) => {
            options = options.client_certificate(cert, key).require_tls(true);
        }
        (None, None) => {}
        _ => bail!(
            "a NATS client certificate needs both a certificate and a key: set NATS_CERT and NATS_KEY"
        ),
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn load(arguments: &[&str]) -> Result<Settings> {
        let arguments = std::iter::once("ari-proxy").chain(arguments.iter().copied());
        Settings::load(Flags::try_parse_from(arguments)?)
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    const GOOD: &[&str] = &[
        "--application",
        "demo",
        "--username",
        "u",
        "--password",
        "hush",
    ];

    #[test]
    fn flags_win_over_the_file() {
        let file = file(
            r#"
            node_id = "n1"
            prefix = "x."
            announce_every = 3
            [ari]
            application = "filed"
            username = "u"
            password = "hush"
            [nats]
            url = "nats://one:4222"
            "#,
        );
        let path = file.path().to_str().unwrap();
        let settings = load(&[
            "--config",
            path,
            "--application",
            "flagged",
            "--node-id",
            "n2",
        ])
        .unwrap();
        assert_eq!(settings.application, "flagged");
        assert_eq!(settings.server.node_id.as_deref(), Some("n2"));
        assert_eq!(settings.server.prefix, "x.");
        assert_eq!(settings.server.announce_every, Duration::from_secs(3));
        assert_eq!(settings.nats.servers(), "nats://one:4222");
        assert_eq!(settings.http_url, DEFAULT_HTTP_URL);
    }

    #[test]
    fn the_flags_of_the_go_program_are_understood() {
        let settings = load(&[
            "--ari.application",
            "demo",
            "--ari.username",
            "u",
            "--ari.password",
            "hush",
            "--ari.http_url",
            "http://a:8088/ari",
            "--nats.url",
            "nats://b:4222",
            "--messagebus.url",
            "nats://c:4222",
        ])
        .unwrap();
        assert_eq!(
            (settings.http_url.as_str(), settings.nats.servers().as_str()),
            ("http://a:8088/ari", "nats://c:4222")
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        let unknown = file("[ari]\napplicaton = \"x\"\n");
        let unknown = unknown.path().to_str().unwrap();
        for (arguments, expected) in [
            (
                &[][..],
                "no application: set --application or ARI_APPLICATION",
            ),
            (&["--application", "a b"][..], "it has white space"),
            (&["--application", "a.*"][..], "wildcard"),
            (&["--application", "a.>"][..], "wildcard"),
            (
                &["--application", "demo"][..],
                "no user name: set --username or ARI_USERNAME",
            ),
            (
                &["--application", "demo", "--username", "u"][..],
                "no password: set ARI_PASSWORD",
            ),
            (&["--config", unknown][..], "is wrong"),
            (
                &["--config", "does-not-exist.toml"][..],
                "cannot read the settings file",
            ),
        ] {
            let error = load(arguments).unwrap_err();
            assert!(
                format!("{error:#}").contains(expected),
                "{arguments:?}: {error:#}"
            );
        }
        let halves = [GOOD, &["--nats-user", "u"]].concat();
        assert!(
            load(&halves)
                .unwrap_err()
                .to_string()
                .contains("both a user and a password")
        );
    }

    #[test]
    fn secrets_are_never_shown() {
        let all = [
            GOOD,
            &[
                "--nats-token",
                "hush",
                "--nats-url",
                "nats://u:hush@h:4222",
                "--http-url",
                "http://u:hush@h/ari",
            ],
        ]
        .concat();
        let shown = format!("{:?}", load(&all).unwrap());
        assert!(!shown.contains("hush"), "{shown}");
    }
}

//! `ari-sim record`: writes down what an application and an Asterisk say to each other.

use std::{fs::File, net::IpAddr, path::PathBuf};

use anyhow::{Context, Result, bail};
use ari_sim::Recorder;

use super::{interrupted, say};

/// Records what an application and an Asterisk say to each other.
///
/// Point the application at this port instead of at the Asterisk: requests, answers and events
/// pass unchanged, and each is written to the file as it happens, without passwords. SIGTERM or
/// SIGINT (Ctrl-C) ends the recording. `ari-sim replay` serves the file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Asterisk to be recorded, as in `http://user:password@host:8088/ari`.
    #[arg(
        long,
        value_name = "URL",
        env = "ARI_SIM_UPSTREAM",
        hide_env_values = true,
        value_parser = |url: &str| Ok::<_, std::convert::Infallible>(Url(url.to_owned()))
    )]
    upstream: Url,

    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8089)]
    port: u16,

    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,

    /// File to write; it must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Name of the scenario; without it that of the file.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,

    /// Title of the scenario, for people.
    #[arg(long, value_name = "TEXT", default_value = "")]
    title: String,

    /// What the scenario is about, for people.
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,

    /// File with the extensions that take part, as in extensions.conf; they go into the header.
    #[arg(long, value_name = "FILE")]
    dialplan: Option<PathBuf>,

    /// Application that is recorded; without it that of the first WebSocket.
    #[arg(long)]
    app: Option<String>,
}

/// A URL that may hold a password.
#[derive(Clone)]
struct Url(String);

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Url(..)")
    }
}

pub(super) async fn run(args: Args) -> Result<()> {
    let out = &args.out;
    let named = out
        .file_stem()
        .map(|name| name.to_string_lossy().into_owned());
    let scenario = args.scenario.or(named).unwrap_or_default();
    let extensions = match &args.dialplan {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?,
        None => String::new(),
    };
    let file = File::create_new(out)
        .with_context(|| format!("cannot make {}: choose another --out", out.display()))?;
    let mut builder = Recorder::builder(args.upstream.0)
        .scenario(scenario)
        .title(args.title)
        .description(args.description)
        .dialplan(&extensions);
    if let Some(app) = args.app {
        builder = builder.app(app);
    }
    let interrupted = interrupted()?;
    let recorder = match builder.start((args.bind, args.port), file).await {
        Ok(recorder) => recorder,
        Err(error) => {
            // Nothing is in it.
            drop(std::fs::remove_file(out));
            return Err(error.into());
        }
    };
    say(&format!("ari-sim records on {}", recorder.url())).await?;
    let failed = tokio::select! {
        () = interrupted => false,
        () = recorder.failed() => true,
    };
    let written = recorder.stop().await;
    written.with_context(|| format!("cannot write {}", out.display()))?;
    if failed {
        bail!("the recording of {} ended by itself", out.display());
    }
    if std::fs::metadata(out).is_ok_and(|file| file.is_file()) {
        Recorder::complete(out)
            .with_context(|| format!("cannot complete the header of {}", out.display()))?;
    }
    Ok(())
}

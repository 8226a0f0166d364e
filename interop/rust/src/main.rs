//! Two calls by way of asterisk-rs-ari 0.8.0, unmodified: over HTTP, and over the WebSocket alone.

mod call;
mod checks;
mod events;

use std::{env, error::Error, process::ExitCode};

use asterisk_rs_ari::{
    AriClient, AriConfig,
    config::{AriConfigBuilder, TransportMode},
};
use checks::Checks;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut checks = Checks::default();
    for transport in [TransportMode::Http, TransportMode::WebSocket] {
        if let Err(error) = run(transport, &mut checks).await {
            let checks = checks.so_far();
            eprintln!("interop rust: after {checks} checks, over {transport:?}: {error}");
            return ExitCode::FAILURE;
        }
    }
    println!("interop rust: ok ({} checks)", checks.so_far());
    ExitCode::SUCCESS
}

async fn run(transport: TransportMode, checks: &mut Checks) -> Result<()> {
    let application = env::var("ARI_APPLICATION")?;
    let ari = AriClient::connect(config(&application, transport)?).await?;
    call::run(&ari, &application, checks).await?;
    ari.disconnect_and_wait().await;
    Ok(())
}

fn config(application: &str, transport: TransportMode) -> Result<AriConfig> {
    let url = env::var("ARI_URL")?;
    let (host, port) = url
        .strip_prefix("http://")
        .and_then(|host| host.trim_end_matches('/').rsplit_once(':'))
        .ok_or("ARI_URL must be http://host:port")?;
    let config = AriConfigBuilder::new(application)
        .host(host)
        .port(port.parse()?)
        .username(env::var("ARI_USERNAME")?)
        .password(env::var("ARI_PASSWORD")?)
        .transport(transport)
        .build()?;
    Ok(config)
}

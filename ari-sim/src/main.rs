//! `ari-sim`: a simulated Asterisk as a program.

mod cli;

use std::{io::IsTerminal as _, net::IpAddr, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use ari_sim::{CallScript, FaultRule, Simulator, WorldOptions, world::Dialplan};
use clap::Parser;
use tracing_subscriber::EnvFilter;

/// What people want it for.
const EXAMPLES: &str = "\
Examples:
  ari-sim --port 8088 --app demo --calls-per-second 5
          An Asterisk that lets five callers a second call the application `demo`
  ari-sim --fault event_lost,probability=0.01 --fault restart,down_ms=2000,every_ms=60000
          One that loses events, and restarts every minute
  ari-sim record --upstream http://user:password@pbx:8088/ari --out trace.jsonl
          Stands before a real Asterisk and writes down what is said
  ari-sim replay trace.jsonl --speed max
          Says it again

Calls, phones and faults can be set while it runs: POST /sim/calls, PUT /sim/endpoints/NAME, POST /sim/faults.";

/// A simulated Asterisk: ARI over HTTP and WebSocket, without a PBX behind it.
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Option<cli::Command>,

    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8088)]
    port: u16,

    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,

    /// User name of ARI.
    #[arg(long, default_value = "asterisk", help_heading = "Access")]
    username: String,

    /// Password of ARI.
    #[arg(
        long,
        env = "ARI_SIM_PASSWORD",
        hide_env_values = true,
        default_value = "asterisk",
        help_heading = "Access"
    )]
    password: String,

    /// Entity id of the Asterisk.
    #[arg(
        long,
        default_value = "02:00:00:00:00:01",
        help_heading = "What it simulates"
    )]
    asterisk_id: String,

    /// Lets every sound be this long, in milliseconds, also those that no Asterisk comes with.
    #[arg(long, value_name = "MS", help_heading = "What it simulates")]
    sound_ms: Option<u64>,

    /// File with a dialplan for the far halves of Local channels, as in extensions.conf.
    #[arg(long, value_name = "FILE", help_heading = "What it simulates")]
    dialplan: Option<std::path::PathBuf>,

    /// Lets something go wrong: a name with its members, as in `slow_answers,ms=200,probability=0.1`,
    /// `status,code=503,times=3,path=/channels` or `restart,down_ms=2000,every_ms=60000`, or JSON as for
    /// `POST /sim/faults`. May be given several times.
    #[arg(long = "fault", value_name = "RULE", help_heading = "Faults")]
    faults: Vec<FaultRule>,

    /// Seed of all that faults leave to chance.
    #[arg(long, default_value_t = 0, help_heading = "Faults")]
    seed: u64,

    /// Application that callers call.
    #[arg(long, requires = "calls_per_second", help_heading = "Callers")]
    app: Option<String>,

    /// How many callers call each second.
    #[arg(long, requires = "app", value_name = "N", help_heading = "Callers")]
    calls_per_second: Option<f64>,

    #[command(flatten)]
    doors: cli::Doors,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let mut args = Args::parse();
    let done = match args.command.take() {
        Some(command) => command.run().await,
        None => run(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ari-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let mut options = WorldOptions::default().asterisk_id(args.asterisk_id);
    if let Some(millis) = args.sound_ms {
        options = options.every_sound(Duration::from_millis(millis));
    }
    if let Some(path) = args.dialplan {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        options = options
            .dialplan(Dialplan::parse(&text).with_context(|| format!("in {}", path.display()))?);
    }
    let mut builder = Simulator::builder()
        .options(options)
        .user(args.username, args.password)
        .seed(args.seed);
    for rule in args.faults {
        builder = builder.fault(rule).context("--fault")?;
    }
    let simulator = args.doors.set_up(builder).start();
    let server = simulator.serve((args.bind, args.port)).await;
    let server = cli::listening(server, args.bind, args.port)?;
    // Closed when the program ends.
    let _outbound = args.doors.dial(&simulator)?;
    if let (Some(app), Some(rate)) = (args.app, args.calls_per_second) {
        ensure!(
            rate > 0.0 && rate <= 1_000.0,
            "--calls-per-second must be above 0, and 1000 at most"
        );
        let interval = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX);
        simulator.place_calls(CallScript::new(app), None, interval);
    }
    let interrupted = cli::interrupted()?;
    cli::say(&format!("ari-sim listens on {}", server.url())).await?;
    interrupted.await;
    simulator.stop().await;
    Ok(())
}

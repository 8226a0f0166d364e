//! Requests a second, and how long they take.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use ari_core::Ari;
use asterisk_rs_ari::{AriClient, resources::asterisk};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use tokio::task::JoinSet;

use crate::{
    Result, asterisk_rs,
    simulator::{APPLICATION, PASSWORD, Simulator, USER},
};

/// How long one run takes.
const RUN: Duration = Duration::from_millis(300);

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// hyper alone, with as many connections as there are requests at a time.
    Bare,
    /// ari-native.
    Native,
    /// asterisk-rs-ari.
    AsteriskRs,
}

/// What a run gave.
#[derive(Clone, Copy)]
pub struct Run {
    pub per_second: f64,
    /// 99 of 100 requests took no longer, in microseconds.
    pub p99: f64,
}

enum Client {
    Bare(SendRequest<Full<Bytes>>, Box<Request<Full<Bytes>>>),
    Native(Ari),
    AsteriskRs(AriClient),
}

impl Client {
    /// `GET /asterisk/ping`, with the answer read.
    async fn ask(&mut self) -> Result<()> {
        match self {
            Self::Bare(sender, request) => {
                sender.ready().await?;
                let answer = sender.send_request((**request).clone()).await?;
                if !answer.status().is_success() {
                    return Err(format!("refused: {}", answer.status()).into());
                }
                black_box(answer.into_body().collect().await?.to_bytes());
            }
            Self::Native(ari) => drop(black_box(ari.asterisk().ping().await?)),
            Self::AsteriskRs(ari) => drop(black_box(asterisk::ping(ari).await?)),
        }
        Ok(())
    }
}

/// One run, with so many requests at a time.
pub async fn run(asker: Asker, simulator: &Simulator, at_once: usize) -> Result<Run> {
    match asker {
        Asker::Bare => {
            let request = Box::new(simulator.request("GET", "/ari/asterisk/ping", Bytes::new())?);
            let mut clients = Vec::new();
            for _ in 0..at_once {
                clients.push(Client::Bare(simulator.connect().await?, request.clone()));
            }
            ask(clients).await
        }
        Asker::Native => {
            let ari = ari_native::builder(simulator.url())
                .application(APPLICATION)
                .credentials(USER, PASSWORD)
                .max_connections(at_once)
                .connect()
                .await?;
            let clients = (0..at_once).map(|_| Client::Native(ari.clone())).collect();
            let run = ask(clients).await;
            ari.close().await?;
            run
        }
        Asker::AsteriskRs => {
            let ari = AriClient::connect(asterisk_rs::config(simulator.port)?).await?;
            let clients = (0..at_once)
                .map(|_| Client::AsteriskRs(ari.clone()))
                .collect();
            let run = ask(clients).await;
            ari.disconnect_and_wait().await;
            run
        }
    }
}

/// Has every client ask one thing after the other for a while.
async fn ask(clients: Vec<Client>) -> Result<Run> {
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for mut client in clients {
        workers.spawn(async move {
            let mut took = Vec::new();
            while start.elapsed() < RUN {
                let sent = Instant::now();
                client.ask().await.map_err(|error| error.to_string())?;
                took.push(sent.elapsed());
            }
            Ok::<_, String>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(worker) = workers.join_next().await {
        took.extend(worker??);
    }
    let elapsed = start.elapsed();
    took.sort_unstable();
    let p99 = took.get(took.len() * 99 / 100).ok_or("no request at all")?;
    Ok(Run {
        per_second: f64::from(u32::try_from(took.len())?) / elapsed.as_secs_f64(),
        p99: p99.as_secs_f64() * 1e6,
    })
}

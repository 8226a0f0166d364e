//! A WebSocket that is passed on, byte by byte, and listened to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    time::timeout,
};

use super::{
    frames::{Frames, Passed},
    recording::SocketEnd,
    tap::{Stopped, Tap},
};

/// How long the other side may take to end when one has ended.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

const BUFFER: usize = 16 << 10;

type Io = TokioIo<Upgraded>;

/// One WebSocket, between a client and Asterisk.
pub(crate) struct Passing {
    tap: Arc<Tap>,
    name: String,
    /// Its end is in the trace.
    over: AtomicBool,
}

impl Passing {
    pub(crate) const fn new(tap: Arc<Tap>, name: String) -> Self {
        Self {
            tap,
            name,
            over: AtomicBool::new(false),
        }
    }

    /// Passes on until both sides have ended.
    pub(crate) async fn run(&self, client: Upgraded, asterisk: Upgraded) {
        let (from_client, to_client) = split(TokioIo::new(client));
        let (from_asterisk, to_asterisk) = split(TokioIo::new(asterisk));
        let up = self.pass(from_client, to_asterisk, true);
        let down = self.pass(from_asterisk, to_client, false);
        tokio::pin!(up, down);
        tokio::select! {
            _ = &mut up => drop(timeout(ENDS_WITHIN, down).await),
            _ = &mut down => drop(timeout(ENDS_WITHIN, up).await),
        }
    }

    /// Passes one direction on until it ends.
    async fn pass(
        &self,
        mut from: ReadHalf<Io>,
        mut to: WriteHalf<Io>,
        client: bool,
    ) -> Result<(), Stopped> {
        let mut frames = Frames::default();
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = from.read(&mut buffer).await.unwrap_or(0);
            let bytes = &buffer[..count];
            for passed in frames.take(bytes) {
                self.record(passed, client).await?;
            }
            if count == 0 {
                self.end(client, SocketEnd::Dropped).await?;
            }
            if count == 0 || to.write_all(bytes).await.is_err() {
                // Whoever reads there sees the end as well.
                drop(to.shutdown().await);
                return Ok(());
            }
        }
    }

    async fn record(&self, passed: Passed, client: bool) -> Result<(), Stopped> {
        match passed {
            Passed::Text(text) => {
                self.tap.slot().await?.write(|recording, now| {
                    if client {
                        recording.asked(now, &self.name, &text)
                    } else {
                        recording.told(now, &self.name, &text)
                    }
                });
            }
            Passed::Bytes(length) => {
                let who = if client { "the client" } else { "Asterisk" };
                let name = &self.name;
                self.tap.slot().await?.note(&format!(
                    "{who} sent {length} bytes by the websocket {name} that are no text, or too much of it"
                ));
            }
            Passed::Close(code) => self.end(client, SocketEnd::Closed(code)).await?,
        }
        Ok(())
    }

    /// Tells the end, the first time.
    async fn end(&self, client: bool, end: SocketEnd) -> Result<(), Stopped> {
        if self.over.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.tap.slot().await?.write(|recording, now| {
            if client {
                recording.left(now, &self.name, end)
            } else {
                recording.ended(now, &self.name, end)
            }
        });
        Ok(())
    }
}

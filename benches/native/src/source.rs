//! A WebSocket that sends prepared events as fast as they are read.
//!
//! The simulator makes fewer events than the readers take, so its events are taken once and played from
//! memory: what is measured is the reader.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
};

use tokio_tungstenite::tungstenite;

use crate::{Result, simulator::Sample};

/// Takes one client, and sends it the events once it is told to.
pub struct Source {
    pub address: SocketAddr,
    /// Says that the events may come.
    pub go: Sender<()>,
    thread: JoinHandle<std::result::Result<(), String>>,
}

impl Source {
    /// One that sends these events this many times.
    pub fn open(events: &[Sample], laps: usize) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let mut lap = Vec::new();
        for event in events {
            frame(&event.text, &mut lap)?;
        }
        let (go, told) = channel();
        let thread = thread::spawn(move || {
            serve(&listener, &lap, laps, &told).map_err(|error| error.to_string())
        });
        Ok(Self {
            address,
            go,
            thread,
        })
    }

    /// Waits until the client is gone.
    pub fn finish(self) -> Result<()> {
        drop(self.go);
        let ended = self.thread.join().map_err(|_| "the source has panicked")?;
        Ok(ended?)
    }
}

fn serve(listener: &TcpListener, lap: &[u8], laps: usize, told: &Receiver<()>) -> Result<()> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut socket = tungstenite::accept(stream).map_err(|error| error.to_string())?;
    told.recv()?;
    for _ in 0..laps {
        socket.get_mut().write_all(lap)?;
    }
    // Answers the close frame, and ends with the connection.
    while socket.read().is_ok() {}
    Ok(())
}

/// Adds a text as a frame of a server.
fn frame(text: &str, to: &mut Vec<u8>) -> Result<()> {
    const TEXT: u8 = 0x81;
    to.push(TEXT);
    match u8::try_from(text.len()) {
        Ok(length) if length < 126 => to.push(length),
        _ => {
            to.push(126);
            to.extend(u16::try_from(text.len())?.to_be_bytes());
        }
    }
    to.extend(text.as_bytes());
    Ok(())
}

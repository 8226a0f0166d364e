//! Remembers how an answer began, for what is said of one that cannot be understood.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connector::BoxIo;

/// Most bytes that are remembered.
const REMEMBERED: usize = 200;

/// The first bytes that came since a request was begun.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beginning(Arc<Mutex<Vec<u8>>>);

impl Beginning {
    /// Forgets what came: another request begins.
    pub(crate) fn forget(&self) {
        self.bytes().clear();
    }

    /// What came, for an error message; `None` if nothing did.
    pub(crate) fn sample(&self) -> Option<String> {
        let bytes = self.bytes();
        (!bytes.is_empty()).then(|| ari_core::sample(&bytes))
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, came: &[u8]) {
        let mut bytes = self.bytes();
        let room = REMEMBERED.saturating_sub(bytes.len());
        bytes.extend_from_slice(&came[..came.len().min(room)]);
    }
}

/// A connection whose answers' beginnings are remembered.
pub(crate) struct Tapped {
    pub(crate) io: BoxIo,
    pub(crate) beginning: Beginning,
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        self.beginning.hear(&buffer.filled()[before..]);
        read
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

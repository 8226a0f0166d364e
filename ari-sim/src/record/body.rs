//! Bodies that are passed on piece by piece, and kept as far as a trace needs them.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::{
    HeaderMap,
    body::{Body, Frame, Incoming, SizeHint},
    header,
};

use super::recording::Content;

/// Bytes of a body that are kept.
const MAX_KEPT: usize = 8 << 20;

/// What a body was so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<Content>>);

impl Seen {
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Self(Arc::new(Mutex::new(Content {
            kind: kind.unwrap_or_default(),
            ..Content::default()
        })))
    }

    pub(crate) fn take(&self) -> Content {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, bytes: &[u8]) {
        let mut content = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        content.length += bytes.len();
        let room = MAX_KEPT.saturating_sub(content.bytes.len());
        content.bytes.extend(&bytes[..room.min(bytes.len())]);
    }
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    /// Who sent it broke off.
    Broken,
    /// Who was to read it went away.
    Abandoned,
}

type Finish = Box<dyn FnOnce(End) + Send + Sync>;

/// A body that is passed on.
pub(crate) struct Tee {
    inner: Incoming,
    seen: Seen,
    finish: Option<Finish>,
}

impl Tee {
    /// `finish` is called when the body is at its end, before its last piece is passed on.
    pub(crate) fn new(
        inner: Incoming,
        seen: Seen,
        finish: impl FnOnce(End) + Send + Sync + 'static,
    ) -> Self {
        let mut tee = Self {
            inner,
            seen,
            finish: Some(Box::new(finish)),
        };
        if tee.inner.is_end_stream() {
            tee.finish(End::Whole);
        }
        tee
    }

    fn finish(&mut self, end: End) {
        if let Some(finish) = self.finish.take() {
            finish(end);
        }
    }
}

impl Body for Tee {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        match &frame {
            None => self.finish(End::Whole),
            Some(Err(_)) => self.finish(End::Broken),
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    self.seen.add(bytes);
                }
                if self.inner.is_end_stream() {
                    self.finish(End::Whole);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.finish(End::Abandoned);
    }
}

//! Where the frames of a WebSocket begin and end, in the bytes that its server sends.

use bytes::Bytes;

/// How a connection begins that becomes a WebSocket.
const UPGRADED: &[u8] = b"HTTP/1.1 101";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// What came so far, as far as it says where the next frame begins.
#[derive(Debug)]
pub(crate) enum Frames {
    /// The first answer over HTTP.
    Head(Vec<u8>),
    /// It is no WebSocket.
    None,
    /// The header of a frame, as far as it came, then so many bytes of its payload.
    Some { header: Vec<u8>, left: u64 },
}

impl Default for Frames {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Frames {
    /// Takes the next bytes.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.take(*byte);
        }
    }

    fn take(&mut self, byte: u8) {
        match self {
            Self::None => {}
            Self::Head(head) => {
                head.push(byte);
                let compared = head.len().min(UPGRADED.len());
                if head[..compared] != UPGRADED[..compared] {
                    *self = Self::None;
                } else if head.ends_with(END_OF_HEAD) {
                    *self = Self::between();
                }
            }
            Self::Some { left, .. } if *left > 0 => *left -= 1,
            Self::Some { header, left } => {
                header.push(byte);
                if let Some(length) = payload(header) {
                    header.clear();
                    *left = length;
                }
            }
        }
    }

    const fn between() -> Self {
        Self::Some {
            header: Vec::new(),
            left: 0,
        }
    }

    /// Whether there are frames at all.
    pub(crate) const fn are_of_a_websocket(&self) -> bool {
        matches!(self, Self::Some { .. })
    }

    /// Whether one has ended and the next has not begun.
    pub(crate) const fn is_between_two(&self) -> bool {
        matches!(self, Self::Some { header, left: 0 } if header.is_empty())
    }
}

/// The length of the payload that a header announces, once it is whole. A server masks nothing.
fn payload(header: &[u8]) -> Option<u64> {
    let length = match header.get(1)? {
        126 => header.get(2..4)?,
        127 => header.get(2..10)?,
        length => return Some(u64::from(*length)),
    };
    let length = length.iter();
    Some(length.fold(0, |length, byte| (length << 8) | u64::from(*byte)))
}

/// A text of a server's as one frame.
pub(crate) fn text(text: &str) -> Bytes {
    let length = text.len() as u64;
    let mut frame = vec![0x81];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) if length < 126 => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(text.as_bytes());
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_between_frames_are_found() {
        let head: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        let long = "x".repeat(70_000);
        for message in ["", "{}", &long[..125], &long[..126], &long[..300], &long] {
            let mut frames = Frames::default();
            frames.pass(head);
            assert!(frames.is_between_two());
            let frame = text(message);
            let (last, rest) = frame.split_last().unwrap();
            for byte in rest {
                frames.pass(&[*byte]);
                assert!(!frames.is_between_two());
            }
            frames.pass(&[*last]);
            assert!(frames.is_between_two());
            frames.pass(&frame.repeat(3));
            assert!(frames.is_between_two());
        }
    }

    #[test]
    fn what_is_no_websocket_has_no_such_place() {
        for bytes in ["HTTP/1.1 200 OK\r\n\r\n", "INFO {\"server\":1}\r\n\r\n"] {
            let mut frames = Frames::default();
            frames.pass(bytes.as_bytes());
            assert!(!frames.are_of_a_websocket() && !frames.is_between_two());
        }
    }
}

//! Looks into the bytes of a WebSocket that pass by.

/// Longest message that is kept; a longer one passes, and its length is told.
const MAX_MESSAGE: usize = 16 << 20;

/// What passed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Text(String),
    /// A message that is no text, or too long to be kept: its length.
    Bytes(usize),
    /// A close frame, with its code.
    Close(Option<u16>),
}

/// Finds the messages in one direction of a WebSocket.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: Vec<u8>,
    frame: Option<Frame>,
    message: Vec<u8>,
    message_length: usize,
    text: bool,
}

#[derive(Debug)]
struct Frame {
    opcode: u8,
    last: bool,
    left: u64,
    mask: [u8; 4],
    offset: usize,
    control: Vec<u8>,
}

impl Frame {
    const fn is_control(&self) -> bool {
        self.opcode >= 8
    }
}

impl Frames {
    /// Takes the bytes that come next, and gives what is complete with them.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Vec<Passed> {
        let mut passed = Vec::new();
        loop {
            if self.frame.is_none() {
                while self.frame.is_none() {
                    let Some((first, rest)) = bytes.split_first() else {
                        return passed;
                    };
                    self.head.push(*first);
                    bytes = rest;
                    self.frame = header(&self.head);
                }
                self.head.clear();
                self.begin();
            }
            let Some(frame) = &mut self.frame else {
                return passed;
            };
            let here =
                usize::try_from(frame.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (payload, rest) = bytes.split_at(here);
            bytes = rest;
            frame.left -= here as u64;
            let (mask, offset) = (frame.mask, frame.offset);
            frame.offset = (offset + here) % 4;
            let unmasked = payload
                .iter()
                .enumerate()
                .map(|(index, byte)| byte ^ mask[(offset + index) % 4]);
            if frame.is_control() {
                // A control frame has at most 125 bytes; the code of a close frame is in the first two.
                let room = 125_usize.saturating_sub(frame.control.len());
                frame.control.extend(unmasked.take(room));
            } else {
                self.message_length += here;
                if self.message_length <= MAX_MESSAGE {
                    self.message.extend(unmasked);
                }
            }
            if frame.left > 0 {
                return passed;
            }
            passed.extend(self.end());
        }
    }

    fn begin(&mut self) {
        if let Some(frame) = &self.frame
            && matches!(frame.opcode, 1 | 2)
        {
            self.text = frame.opcode == 1;
            self.message.clear();
            self.message_length = 0;
        }
    }

    fn end(&mut self) -> Option<Passed> {
        let frame = self.frame.take()?;
        if frame.opcode == 8 {
            let code = match frame.control[..] {
                [high, low, ..] => Some(u16::from_be_bytes([high, low])),
                _ => None,
            };
            return Some(Passed::Close(code));
        }
        if frame.is_control() || !frame.last {
            return None;
        }
        let message = std::mem::take(&mut self.message);
        let length = std::mem::take(&mut self.message_length);
        if self.text && length <= MAX_MESSAGE {
            return Some(String::from_utf8(message).map_or(Passed::Bytes(length), Passed::Text));
        }
        Some(Passed::Bytes(length))
    }
}

/// Reads the header of a frame, once it is whole.
fn header(head: &[u8]) -> Option<Frame> {
    let (&[first, second], rest) = head.split_first_chunk()?;
    let (left, rest) = match second & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (u64::from(short), rest),
    };
    let mask = if second & 0x80 == 0 {
        [0; 4]
    } else {
        *rest.first_chunk()?
    };
    Some(Frame {
        opcode: first & 0x0f,
        last: first & 0x80 != 0,
        left,
        mask,
        offset: 0,
        control: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
        let flag = if mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(flag | u8::try_from(short).unwrap()),
            long if long < 65_536 => {
                bytes.push(flag | 0x7e);
                bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
            long => {
                bytes.push(flag | 0x7f);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        bytes.extend(mask.into_iter().flatten());
        let mask = mask.unwrap_or_default();
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
        bytes
    }

    #[test]
    fn messages_are_found_however_the_bytes_come() {
        let long = "x".repeat(70_000);
        let mut bytes = frame(0x81, None, b"one");
        bytes.extend(frame(0x01, Some([1, 2, 3, 4]), b"tw"));
        bytes.extend(frame(0x89, None, b"ping"));
        bytes.extend(frame(0x80, Some([9, 8, 7, 6]), b"o"));
        bytes.extend(frame(0x81, Some([5, 5, 0, 5]), long.as_bytes()));
        bytes.extend(frame(0x82, None, &[1, 2, 3]));
        bytes.extend(frame(0x81, None, b""));
        bytes.extend(frame(0x88, Some([1, 1, 1, 1]), &[0x03, 0xe9, b'b']));
        let expected = [
            Passed::Text("one".to_owned()),
            Passed::Text("two".to_owned()),
            Passed::Text(long),
            Passed::Bytes(3),
            Passed::Text(String::new()),
            Passed::Close(Some(1001)),
        ];
        for piece in [1, 2, 3, 7, 4_096, bytes.len()] {
            let mut frames = Frames::default();
            let passed: Vec<_> = bytes
                .chunks(piece)
                .flat_map(|piece| frames.take(piece))
                .collect();
            assert_eq!(passed, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_not_kept() {
        let mut frames = Frames::default();
        let piece = vec![b'x'; 1 << 20];
        let mut head = vec![0x81, 127];
        head.extend((20_u64 << 20).to_be_bytes());
        assert!(frames.take(&head).is_empty());
        let passed: Vec<_> = (0..20).flat_map(|_| frames.take(&piece)).collect();
        assert_eq!(passed, [Passed::Bytes(20 << 20)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(bytes: Vec<u8>, piece in 1_usize..64) {
            let mut frames = Frames::default();
            for piece in bytes.chunks(piece) {
                frames.take(piece);
            }
        }
    }
}

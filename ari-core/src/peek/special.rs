//! What is special in a text of JSON: the quote that ends it, and backslashes and control characters.

use wide::u8x16;

/// How many bytes are looked at at once.
const BLOCK: usize = 64;

/// Finds what is special; it keeps what it knows of one block, so whoever goes forward looks at each once.
pub(super) struct Specials {
    /// Where the block begins; no multiple of its size before there is one.
    start: usize,
    /// Of each byte of the block, the first in the lowest bit: whether it is special.
    bits: u64,
}

impl Specials {
    pub(super) const fn new() -> Self {
        Self {
            start: usize::MAX,
            bits: 0,
        }
    }

    /// Where the next quote, backslash or control character is, or the end.
    #[inline]
    pub(super) fn next(&mut self, bytes: &[u8], at: usize) -> usize {
        if self.start == start_of_block(at) {
            let bits = self.bits >> (at % BLOCK);
            if bits != 0 {
                return at + bits.trailing_zeros() as usize;
            }
        }
        self.search(bytes, at)
    }

    /// The same where it may be in another block than the one that is known; apart, so that the other case is
    /// small enough to be inlined.
    #[inline(never)]
    fn search(&mut self, bytes: &[u8], mut at: usize) -> usize {
        loop {
            let start = start_of_block(at);
            if self.start != start {
                self.start = start;
                self.bits = look(bytes.get(start..).unwrap_or_default());
            }
            let bits = self.bits >> (at - start);
            if bits != 0 {
                return at + bits.trailing_zeros() as usize;
            }
            at = start + BLOCK;
        }
    }
}

#[inline]
const fn start_of_block(at: usize) -> usize {
    at - at % BLOCK
}

/// Looks at the block that begins here; what is missing of the last one counts as special.
#[inline]
fn look(rest: &[u8]) -> u64 {
    if let Some(block) = rest.first_chunk() {
        return special(block);
    }
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    special(&block)
}

#[inline]
fn special(block: &[u8; BLOCK]) -> u64 {
    let mut bits = 0;
    for bytes in block.as_chunks().0.iter().rev() {
        let bytes = u8x16::new(*bytes);
        let control = bytes.min(u8x16::splat(b' ' - 1)).simd_eq(bytes);
        let quote = bytes.simd_eq(u8x16::splat(b'"'));
        let backslash = bytes.simd_eq(u8x16::splat(b'\\'));
        bits = bits << 16 | u64::from((control | quote | backslash).to_bitmask());
    }
    bits
}

//! A scanner of JSON texts: it refuses what is no JSON, and copies nothing that is not escaped.
//!
//! Every value must be consumed by [`skip`](Scanner::skip) or one of the methods that give what is in it, each of
//! which takes values of every type.
//!
//! Where it is goes from function to function as a number, and is written down only between values: that is what
//! makes it fast.

use super::special::Specials;

/// Nesting that is not taken any more; `serde_json` takes as much.
const MAX_DEPTH: u32 = 128;

/// What makes a text no JSON, and where.
#[derive(Debug, thiserror::Error)]
pub(super) enum Flaw {
    #[error("expected {what} at byte {at}")]
    Expected { what: &'static str, at: usize },
    #[error("the text that begins at byte {at} cannot be read")]
    Text {
        at: usize,
        source: serde_json::Error,
    },
    #[error("arrays and objects are nested too deep at byte {at}")]
    TooDeep { at: usize },
    #[error("the event has no type that is a text")]
    NoType,
}

/// A flaw is rare, and a pointer to it is returned faster.
pub(super) type Scan<T> = Result<T, Box<Flaw>>;

/// A text between quotes: where it begins and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted {
    pub(super) start: usize,
    pub(super) end: usize,
}

pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    depth: u32,
    /// Whether something was escaped so far.
    escapes: bool,
    specials: Specials,
}

impl<'t> Scanner<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            escapes: false,
            specials: Specials::new(),
        }
    }

    /// Whether nothing but white space follows.
    pub(super) fn end(&self) -> Scan<()> {
        let at = space(self.text.as_bytes(), self.at);
        if at < self.text.len() {
            return expected("the end", at);
        }
        Ok(())
    }

    /// Reads the members of an object: `each` is given the name of each, and consumes its value. Any other value
    /// is skipped.
    #[inline]
    pub(super) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, &[u8]) -> Scan<()>,
    ) -> Scan<()> {
        self.parts(b'{', b'}', "`,` or `}`", |scanner| {
            let bytes = scanner.text.as_bytes();
            let start = space(bytes, scanner.at);
            let after = scanner.string(start)?;
            scanner.at = colon(bytes, after)?;
            let name = Quoted {
                start: start + 1,
                end: after - 1,
            };
            match scanner.unescape(name)? {
                None => each(scanner, &bytes[name.start..name.end]),
                Some(name) => each(scanner, name.as_bytes()),
            }
        })
    }

    /// Reads the items of an array: `each` consumes each of them. Any other value is skipped.
    #[inline]
    pub(super) fn items(&mut self, each: impl FnMut(&mut Self) -> Scan<()>) -> Scan<()> {
        self.parts(b'[', b']', "`,` or `]`", each)
    }

    /// Reads what stands between two brackets, with commas between. Any other value is skipped.
    #[inline]
    fn parts(
        &mut self,
        open: u8,
        close: u8,
        separator: &'static str,
        mut each: impl FnMut(&mut Self) -> Scan<()>,
    ) -> Scan<()> {
        let bytes = self.text.as_bytes();
        let mut at = space(bytes, self.at);
        if bytes.get(at) != Some(&open) {
            return self.skip();
        }
        self.enter(at)?;
        at = space(bytes, at + 1);
        if bytes.get(at) != Some(&close) {
            loop {
                self.at = at;
                each(self)?;
                at = space(bytes, self.at);
                match bytes.get(at) {
                    Some(b',') => at += 1,
                    Some(byte) if *byte == close => break,
                    _ => return expected(separator, at),
                }
            }
        }
        self.at = at + 1;
        self.depth -= 1;
        Ok(())
    }

    /// Reads a text; `None` for any other value, which is skipped.
    #[inline]
    pub(super) fn quoted(&mut self) -> Scan<Option<Quoted>> {
        let bytes = self.text.as_bytes();
        let at = space(bytes, self.at);
        if bytes.get(at) != Some(&b'"') {
            return self.skip().map(|()| None);
        }
        self.at = self.string(at)?;
        Ok(Some(Quoted {
            start: at + 1,
            end: self.at - 1,
        }))
    }

    /// The text with what is escaped in it; `None` if nothing is.
    #[inline]
    pub(super) fn unescape(&self, quoted: Quoted) -> Scan<Option<String>> {
        if self.escapes && self.text[quoted.start..quoted.end].contains('\\') {
            self.copy(quoted).map(Some)
        } else {
            Ok(None)
        }
    }

    #[cold]
    fn copy(&self, quoted: Quoted) -> Scan<String> {
        let at = quoted.start - 1;
        serde_json::from_str(&self.text[at..=quoted.end])
            .map_err(|source| Box::new(Flaw::Text { at, source }))
    }

    /// Reads a number without sign, fraction and exponent; `None` for any other value, which is skipped.
    pub(super) fn unsigned(&mut self) -> Scan<Option<u64>> {
        let start = space(self.text.as_bytes(), self.at);
        self.skip()?;
        Ok(self.text[start..self.at].parse().ok())
    }

    /// Skips a value.
    #[inline]
    pub(super) fn skip(&mut self) -> Scan<()> {
        let at = space(self.text.as_bytes(), self.at);
        self.at = match self.text.as_bytes().get(at) {
            // What most values are.
            Some(b'"') => self.string(at)?,
            _ => self.value(at)?,
        };
        Ok(())
    }

    /// Goes past a value.
    fn value(&mut self, mut at: usize) -> Scan<usize> {
        let bytes = self.text.as_bytes();
        // Of each array and object that is open, the innermost in the lowest bit: whether it is an object.
        let mut objects = 0_u128;
        let outside = self.depth;
        loop {
            at = space(bytes, at);
            match bytes.get(at) {
                Some(b'"') => at = self.string(at)?,
                Some(b'{') => {
                    self.enter(at)?;
                    at = space(bytes, at + 1);
                    if bytes.get(at) != Some(&b'}') {
                        objects = objects << 1 | 1;
                        at = self.name(at)?;
                        continue;
                    }
                    at += 1;
                    self.depth -= 1;
                }
                Some(b'[') => {
                    self.enter(at)?;
                    at = space(bytes, at + 1);
                    if bytes.get(at) != Some(&b']') {
                        objects <<= 1;
                        continue;
                    }
                    at += 1;
                    self.depth -= 1;
                }
                Some(b'-' | b'0'..=b'9') => at = number(bytes, at)?,
                Some(b't') => at = literal(bytes, at, "true")?,
                Some(b'f') => at = literal(bytes, at, "false")?,
                Some(b'n') => at = literal(bytes, at, "null")?,
                _ => return expected("a value", at),
            }
            // A value is over, and with it whatever ends here.
            loop {
                if self.depth == outside {
                    return Ok(at);
                }
                let in_object = objects & 1 == 1;
                at = space(bytes, at);
                match bytes.get(at) {
                    Some(b',') => {
                        at += 1;
                        if in_object {
                            at = self.name(space(bytes, at))?;
                        }
                        break;
                    }
                    Some(b'}') if in_object => {}
                    Some(b']') if !in_object => {}
                    _ if in_object => return expected("`,` or `}`", at),
                    _ => return expected("`,` or `]`", at),
                }
                at += 1;
                self.depth -= 1;
                objects >>= 1;
            }
        }
    }

    /// Goes past the name of a member and its colon.
    #[inline]
    fn name(&mut self, at: usize) -> Scan<usize> {
        let after = self.string(at)?;
        colon(self.text.as_bytes(), after)
    }

    /// Goes past a text with its quotes.
    #[inline]
    fn string(&mut self, at: usize) -> Scan<usize> {
        let bytes = self.text.as_bytes();
        if bytes.get(at) != Some(&b'"') {
            return expected("a text", at);
        }
        let end = self.specials.next(bytes, at + 1);
        if bytes.get(end) == Some(&b'"') {
            return Ok(end + 1);
        }
        self.rest_of_string(end)
    }

    /// Goes past the rest of a text, of which something special is here.
    #[cold]
    fn rest_of_string(&mut self, mut at: usize) -> Scan<usize> {
        let bytes = self.text.as_bytes();
        loop {
            at = match bytes.get(at) {
                Some(b'"') => return Ok(at + 1),
                Some(b'\\') => escape(bytes, at)?,
                Some(_) => return expected("no control character in a text", at),
                None => return expected("the end of a text", at),
            };
            self.escapes = true;
            at = self.specials.next(bytes, at);
        }
    }

    /// Goes into the array or object that begins here.
    #[inline]
    fn enter(&mut self, at: usize) -> Scan<()> {
        self.depth += 1;
        if self.depth >= MAX_DEPTH {
            return Err(Box::new(Flaw::TooDeep { at }));
        }
        Ok(())
    }
}

#[cold]
fn expected<T>(what: &'static str, at: usize) -> Scan<T> {
    Err(Box::new(Flaw::Expected { what, at }))
}

/// Where the next byte is that is no white space.
#[inline]
fn space(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b' ' | b'\n' | b'\t' | b'\r') => run(bytes, at, |byte| {
            matches!(byte, b' ' | b'\n' | b'\t' | b'\r')
        }),
        _ => at,
    }
}

/// Where the bytes end that are such.
#[inline]
fn run(bytes: &[u8], at: usize, is_such: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let other = rest.iter().position(|byte| !is_such(*byte));
    at + other.unwrap_or(rest.len())
}

#[inline]
fn colon(bytes: &[u8], at: usize) -> Scan<usize> {
    let at = space(bytes, at);
    if bytes.get(at) != Some(&b':') {
        return expected("`:`", at);
    }
    Ok(at + 1)
}

fn escape(bytes: &[u8], at: usize) -> Scan<usize> {
    match &bytes[at + 1..] {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Ok(at + 2),
        [b'u', digits @ ..]
            if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) =>
        {
            Ok(at + 6)
        }
        _ => expected("an escape sequence", at),
    }
}

fn number(bytes: &[u8], mut at: usize) -> Scan<usize> {
    at += usize::from(bytes.get(at) == Some(&b'-'));
    at = match bytes.get(at) {
        Some(b'0') => at + 1,
        _ => digits(bytes, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        at = digits(bytes, at)?;
    }
    Ok(at)
}

fn digits(bytes: &[u8], at: usize) -> Scan<usize> {
    match run(bytes, at, |byte| byte.is_ascii_digit()) {
        end if end == at => expected("a digit", at),
        end => Ok(end),
    }
}

fn literal(bytes: &[u8], at: usize, literal: &'static str) -> Scan<usize> {
    if bytes[at..].starts_with(literal.as_bytes()) {
        Ok(at + literal.len())
    } else {
        expected(literal, at)
    }
}

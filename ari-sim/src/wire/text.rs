//! Reading texts as Asterisk reads them.

/// Names and values, in their order.
pub(crate) type Pairs = Vec<(String, String)>;

/// Decodes percent-encoding, and `+` as a space; what is no encoding stays as it is.
///
/// A text ends at its first zero byte, as everywhere in Asterisk.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let byte = match (first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match hex(*high) {
                None => b'%',
                // Two characters are taken even if only the first is a digit.
                Some(value) => {
                    rest = after;
                    hex(*low).map_or(value, |low| value << 4 | low)
                }
            },
            _ => *first,
        };
        if byte == 0 {
            break;
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// Reads a query or a form.
pub(crate) fn pairs(text: &str) -> Pairs {
    text.split('&')
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// The first value of a name.
pub(crate) fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

/// Whether a text says yes.
pub(crate) fn is_true(text: &str) -> bool {
    ["yes", "true", "y", "t", "1", "on"]
        .iter()
        .any(|yes| yes.eq_ignore_ascii_case(text))
}

/// A whole number, as `atoi` reads it: what is no number is 0.
pub(crate) fn number(text: &str) -> i64 {
    let text = text.trim_start();
    let (sign, digits) = match text.as_bytes() {
        [b'-', ..] => (-1, &text[1..]),
        [b'+', ..] => (1, &text[1..]),
        _ => (1, text),
    };
    digits
        .bytes()
        .map_while(|digit| char::from(digit).to_digit(10))
        .fold(0_i64, |number, digit| {
            number.saturating_mul(10).saturating_add(i64::from(digit))
        })
        .saturating_mul(sign)
}

/// Cuts a text at its commas, but not at those within quotes, parentheses or brackets.
///
/// Quotes are left out, and so are backslashes, which stand before a character to be taken as it is.
pub(crate) fn separate(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let (mut parentheses, mut brackets, mut quoted) = (0_usize, 0_usize, false);
    let mut characters = text.chars();
    while let Some(mut character) = characters.next() {
        match character {
            '(' => parentheses += 1,
            ')' => parentheses = parentheses.saturating_sub(1),
            '[' => brackets += 1,
            ']' => brackets = brackets.saturating_sub(1),
            '"' => {
                quoted = !quoted;
                continue;
            }
            '\\' => match characters.next() {
                None => continue,
                Some(next) => character = next,
            },
            ',' if parentheses == 0 && brackets == 0 && !quoted => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(item) = items.last_mut() {
            item.push(character);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::{decode, is_true, number, pairs, separate};

    #[test]
    fn what_is_no_encoding_stays() {
        for (text, decoded) in [
            ("a%2Fb", "a/b"),
            ("%zz", "%zz"),
            ("x+y", "x y"),
            ("%", "%"),
            ("%4", "%4"),
            ("%4x-", "\u{4}-"),
            ("a%00b", "a"),
            ("%C3%A4", "ä"),
            ("%FF", "\u{fffd}"),
        ] {
            assert_eq!(decode(text), decoded, "{text}");
        }
    }

    #[test]
    fn pairs_keep_their_order() {
        let read = pairs("a=1&b&a=x%26y=z");
        let expected = [("a", "1"), ("b", ""), ("a", "x&y=z")];
        assert!(
            read.iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .eq(expected)
        );
    }

    #[test]
    fn numbers_and_truth_are_read_as_in_c() {
        for (text, value) in [
            ("12", 12),
            (" -2x", -2),
            ("x", 0),
            ("", 0),
            ("+3", 3),
            ("--1", 0),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
        assert_eq!(number("99999999999999999999"), i64::MAX);
        assert!(is_true("Yes") && is_true("t") && !is_true("2") && !is_true(""));
    }

    #[test]
    fn a_comma_within_parentheses_separates_nothing() {
        assert_eq!(separate("a,b"), ["a", "b"]);
        assert_eq!(separate(""), [""]);
        assert_eq!(separate("a,"), ["a", ""]);
        assert_eq!(separate("F(x,y),\"p,q\",r\\,s"), ["F(x,y)", "p,q", "r,s"]);
    }
}

//! Characters, names and references of XML 1.0.
//!
//! Owns what may occur in a document at the level of characters (S-05). Nothing here allocates unless a reference or a
//! line end has to be replaced. Loops that look at all bytes have no early end, so that the compiler can take many
//! bytes at once.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};
use rxml::NcNameStr;

/// Class of a byte: part of a name.
pub(crate) const NAME: u8 = 1;
/// Class of a byte: may begin a name.
pub(crate) const START: u8 = 2;
/// Class of a byte: the colon after a prefix.
pub(crate) const COLON: u8 = 4;
/// Class of a byte: part of a character beyond ASCII; whether that may be in a name is looked at apart.
pub(crate) const BEYOND: u8 = 8;

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => NAME | START,
            b'0'..=b'9' | b'-' | b'.' => NAME,
            b':' => NAME | COLON,
            0x80.. => NAME | START | BEYOND,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// The classes of a byte; 0 for one that cannot be part of a name.
pub(crate) fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Whether `name` is a name without a colon (Namespaces in XML 1.0 §3).
pub(crate) fn is_ncname(name: &str) -> bool {
    if !name.is_ascii() {
        return <&NcNameStr>::try_from(name).is_ok();
    }
    let mut classes = name.bytes().map(class);
    let is_part = |class: u8| class & (NAME | COLON) == NAME;
    classes
        .next()
        .is_some_and(|first| is_part(first) && first & START != 0)
        && classes.all(is_part)
}

/// Whether XML 1.0 has this character (§2.2).
pub(crate) fn is_char(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        _ => character >= ' ',
    }
}

/// Whether all of `text` consists of characters that XML 1.0 has.
pub(crate) fn all_chars(text: &str) -> bool {
    let bytes = text.as_bytes();
    let controls = bytes
        .iter()
        .fold(false, |found, byte| found | is_forbidden_control(*byte));
    !controls && !has_noncharacter(bytes)
}

/// White space of XML.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The value of `raw`: references replaced, line ends unified; in an attribute, literal white space is a space.
/// `None` if there is a reference that XML does not know, or to a character that it does not have.
pub(crate) fn decode(raw: &str, attribute: bool) -> Option<Cow<'_, str>> {
    if !needs_decoding(raw, attribute) {
        return Some(Cow::Borrowed(raw));
    }
    let mut rest = raw;
    let mut out = String::with_capacity(raw.len());
    while let Some(next) = rest.chars().next() {
        let (character, after) = match next {
            '&' => reference(rest)?,
            '\r' => (
                '\n',
                rest.strip_prefix("\r\n")
                    .unwrap_or_else(|| after_first(rest)),
            ),
            other => (other, after_first(rest)),
        };
        let is_white = attribute && next != '&' && matches!(character, '\n' | '\t');
        out.push(if is_white { ' ' } else { character });
        rest = after;
    }
    Some(Cow::Owned(out))
}

/// Whether all references in `raw` are such as XML knows.
pub(crate) fn has_good_references(raw: &str) -> bool {
    let mut rest = raw;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        let Some((_, after)) = rest.get(at..).and_then(reference) else {
            return false;
        };
        rest = after;
    }
    true
}

fn needs_decoding(raw: &str, attribute: bool) -> bool {
    let is_white = |byte: u8| attribute & ((byte == b'\n') | (byte == b'\t'));
    raw.bytes().fold(false, |found, byte| {
        found | (byte == b'&') | (byte == b'\r') | is_white(byte)
    })
}

fn after_first(text: &str) -> &str {
    let mut rest = text.chars();
    rest.next();
    rest.as_str()
}

/// The character that the reference at the start of `rest` stands for, and what follows it.
fn reference(rest: &str) -> Option<(char, &str)> {
    let (name, after) = rest.strip_prefix('&')?.split_once(';')?;
    let character = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => numeric_reference(name)?,
    };
    Some((character, after))
}

fn numeric_reference(name: &str) -> Option<char> {
    let digits = name.strip_prefix('#')?;
    let (digits, radix) = digits
        .strip_prefix('x')
        .map_or((digits, 10), |hex| (hex, 16));
    let only_digits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    let code = u32::from_str_radix(digits, radix)
        .ok()
        .filter(|_| only_digits)?;
    char::from_u32(code).filter(|character| is_char(*character))
}

fn is_forbidden_control(byte: u8) -> bool {
    (byte < b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r')
}

/// U+FFFE and U+FFFF are EF BF BE and EF BF BF.
fn has_noncharacter(bytes: &[u8]) -> bool {
    memchr_iter(0xef, bytes)
        .any(|at| matches!(bytes.get(at + 1..at + 3), Some([0xbf, 0xbe | 0xbf])))
}

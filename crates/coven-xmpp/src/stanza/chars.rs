//! Characters, names and references of XML 1.0.
//!
//! Owns what may occur in a document at the level of characters (S-05). Nothing here allocates unless a reference or a
//! line end has to be replaced.

use std::borrow::Cow;

use rxml::NcNameStr;

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
        .fold(false, |bad, &byte| bad | is_forbidden_control(byte));
    !controls && !has_noncharacter(bytes)
}

/// Whether `name` is a name without a colon (Namespaces in XML 1.0 §3).
pub(crate) fn is_ncname(name: &str) -> bool {
    if !name.is_ascii() {
        return <&NcNameStr>::try_from(name).is_ok();
    }
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_name_start) && bytes.all(is_name_byte)
}

/// Whether `byte` may be part of a name; any byte of a character beyond ASCII may, and is looked at later.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    is_name_start(byte) || matches!(byte, b'0'..=b'9' | b'-' | b'.')
}

/// White space of XML.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The value of `raw`: references replaced, line ends unified; in an attribute, literal white space is a space.
/// `None` if there is a reference that XML does not know, or to a character that it does not have.
pub(crate) fn decode(raw: &str, attribute: bool) -> Option<Cow<'_, str>> {
    let is_special =
        |byte: u8| byte == b'&' || byte == b'\r' || (attribute && matches!(byte, b'\n' | b'\t'));
    let Some(first) = raw.bytes().position(is_special) else {
        return Some(Cow::Borrowed(raw));
    };
    let (plain, mut rest) = raw.split_at_checked(first)?;
    let mut out = String::with_capacity(raw.len());
    out.push_str(plain);
    while let Some(next) = rest.chars().next() {
        rest = match next {
            '&' => decode_reference(rest, &mut out)?,
            '\r' => decode_line_end(rest, attribute, &mut out),
            '\n' | '\t' if attribute => push(' ', rest, &mut out),
            other => push(other, rest, &mut out),
        };
    }
    Some(Cow::Owned(out))
}

fn push<'a>(character: char, rest: &'a str, out: &mut String) -> &'a str {
    out.push(character);
    let mut rest = rest.chars();
    rest.next();
    rest.as_str()
}

fn decode_line_end<'a>(rest: &'a str, attribute: bool, out: &mut String) -> &'a str {
    out.push(if attribute { ' ' } else { '\n' });
    rest.strip_prefix("\r\n")
        .or_else(|| rest.strip_prefix('\r'))
        .unwrap_or_default()
}

fn decode_reference<'a>(rest: &'a str, out: &mut String) -> Option<&'a str> {
    let (name, after) = rest.strip_prefix('&')?.split_once(';')?;
    out.push(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => numeric_reference(name)?,
    });
    Some(after)
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
    byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// U+FFFE and U+FFFF are EF BF BE and EF BF BF.
fn has_noncharacter(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, b"\xef\xbf")
        .any(|at| bytes.get(at + 2).is_some_and(|byte| *byte >= 0xbe))
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

//! Escaping for attributes and text, and its reverse.
//!
//! Owns the one place where text becomes XML. What is read back is what was written (S-06); characters that XML 1.0
//! does not have become U+FFFD, so that no text of ours can end a stream (S-05).

use std::borrow::Cow;

use super::chars::{decode, is_char};

/// Appends `value` to `out` so that it may stand in an attribute between either kind of quotes.
///
/// Line ends and tabs become references: a literal one would be read back as a space (XML 1.0 §3.3.3).
pub fn attribute(out: &mut Vec<u8>, value: &str) {
    escape(out, value, |byte| match byte {
        b'\'' => Some("&apos;"),
        b'"' => Some("&quot;"),
        b'\n' => Some("&#10;"),
        b'\t' => Some("&#9;"),
        _ => common(byte),
    });
}

/// Appends `value` to `out` so that it may stand between tags.
pub fn text(out: &mut Vec<u8>, value: &str) {
    escape(out, value, common);
}

/// The value of `raw`, as it stands in an attribute or between tags: references replaced, line ends unified.
/// What is not a reference that XML knows stays as it is; input that was read by this crate has none.
#[must_use]
pub fn unescape(raw: &str) -> Cow<'_, str> {
    decode(raw, false).unwrap_or(Cow::Borrowed(raw))
}

fn common(byte: u8) -> Option<&'static str> {
    match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\r' => Some("&#13;"),
        _ => None,
    }
}

fn escape(out: &mut Vec<u8>, value: &str, replacement: impl Fn(u8) -> Option<&'static str>) {
    // Without an early end: it would cost more than it saves.
    if value
        .bytes()
        .fold(true, |plain, byte| plain & is_plain(byte))
    {
        return out.extend_from_slice(value.as_bytes());
    }
    let mut utf8 = [0; 4];
    for character in value.chars() {
        let special = u8::try_from(character).ok().and_then(&replacement);
        match special {
            Some(reference) => out.extend_from_slice(reference.as_bytes()),
            None if is_char(character) => {
                out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes())
            }
            None => out.extend_from_slice("\u{fffd}".as_bytes()),
        }
    }
}

/// Printable ASCII that needs no escaping anywhere: what nearly every address and name consists of. Looked up, since
/// addresses, written once per copy of a stanza, are too short for anything that looks at many bytes at once.
fn is_plain(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)).copied().unwrap_or_default()
}

const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        #[allow(clippy::indexing_slicing, reason = "a byte is below 256")]
        {
            plain[byte as usize] = !matches!(byte, b'&' | b'<' | b'>' | b'\'' | b'"');
        }
        byte += 1;
    }
    plain
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(write: fn(&mut Vec<u8>, &str), value: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, value);
        String::from_utf8(out).unwrap_or_default()
    }

    #[test]
    fn s_06_markup_in_values_is_inert() {
        let value = "<'\"]]>&\n\r\t";
        assert_eq!(
            escaped(attribute, value),
            "&lt;&apos;&quot;]]&gt;&amp;&#10;&#13;&#9;"
        );
        assert_eq!(escaped(text, value), "&lt;'\"]]&gt;&amp;\n&#13;\t");
    }

    #[test]
    fn s_05_characters_outside_of_xml_are_replaced() {
        assert_eq!(
            escaped(text, "a\u{0}b\u{fffe}c\u{1b}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}"
        );
    }

    proptest! {
        #[test]
        fn s_06_unescape_reverses_both(value in "\\PC*|[ -~\n\t\r&<>'\"\\]]*") {
            for write in [attribute, text] {
                let escaped = escaped(write, &value);
                prop_assert_eq!(unescape(&escaped), value.as_str());
            }
        }
    }
}

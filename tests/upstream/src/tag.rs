//! What must be known of a stanza to route it: its start tag, and a few marks inside.
//!
//! Owns the reading of start tags from whole stanzas, as a component that is under test writes them. It is no parser: a
//! stanza was framed by `coven_xmpp::stream::Framer`, and values are taken as they stand, references included.

use memchr::{memchr, memmem};

/// A start tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tag<'a> {
    /// `message`, `presence`, `iq`, or whatever it is.
    pub(crate) name: &'a str,
    /// `from`, or nothing.
    pub(crate) from: &'a str,
    /// `to`, or nothing.
    pub(crate) to: &'a str,
    /// `id`, or nothing.
    pub(crate) id: &'a str,
    /// `type`, or nothing.
    pub(crate) type_: &'a str,
    /// `queryid`, or nothing (XEP-0313 §5).
    pub(crate) query: &'a str,
}

impl<'a> Tag<'a> {
    /// The start tag at the beginning of `xml`. `None`: it is not UTF-8, or no tag.
    pub(crate) fn read(xml: &'a [u8]) -> Option<Self> {
        let mut tag = Self::default();
        let mut rest = xml.strip_prefix(b"<")?;
        let end = rest
            .iter()
            .position(|byte| is_space(*byte) || matches!(byte, b'>' | b'/'))?;
        (tag.name, rest) = (text(rest.get(..end)?)?, rest.get(end..)?);
        while let Some((name, value, after)) = attribute(rest) {
            tag.set(name, text(value)?);
            rest = after;
        }
        Some(tag)
    }

    /// The first tag `<name ...` anywhere in `xml`, and what follows its name.
    pub(crate) fn find(xml: &'a [u8], name: &str) -> Option<(Self, &'a [u8])> {
        let open = format!("<{name} ");
        let at = memmem::find(xml, open.as_bytes())?;
        let found = xml.get(at..)?;
        Some((Self::read(found)?, found.get(open.len()..)?))
    }

    fn set(&mut self, name: &[u8], value: &'a str) {
        match name {
            b"from" => self.from = value,
            b"to" => self.to = value,
            b"id" => self.id = value,
            b"type" => self.type_ = value,
            b"queryid" => self.query = value,
            _ => {}
        }
    }
}

/// The first attribute in the rest of a start tag: its name, its value, what follows.
fn attribute(rest: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let begin = rest.iter().position(|byte| !is_space(*byte))?;
    let rest = rest.get(begin..)?;
    let equals = rest
        .iter()
        .position(|byte| matches!(byte, b'=' | b'>' | b'/'))?;
    let (name, after) = rest.split_at_checked(equals)?;
    let after = after.strip_prefix(b"=")?;
    let quote = *after.first()?;
    let value = after.get(1..)?;
    let end = memchr(quote, value)?;
    Some((name, value.get(..end)?, value.get(end + 1..)?))
}

/// Whether `xml` has these bytes anywhere.
pub(crate) fn has(xml: &[u8], what: &str) -> bool {
    memmem::find(xml, what.as_bytes()).is_some()
}

/// The text of the first element of that name.
pub(crate) fn inner<'a>(xml: &'a [u8], name: &str) -> Option<&'a str> {
    let open = memmem::find(xml, format!("<{name}").as_bytes())?;
    let rest = xml.get(open..)?;
    let begin = memchr(b'>', rest)? + 1;
    let rest = rest.get(begin..)?;
    text(rest.get(..memchr(b'<', rest)?)?)
}

/// The part of an address before the resource.
pub(crate) fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

/// The domain of an address.
pub(crate) fn domain(jid: &str) -> &str {
    let bare = bare(jid);
    bare.split_once('@').map_or(bare, |(_, domain)| domain)
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn attributes_come_in_any_order_and_quotes() {
        let xml = b"<message id=\"a'b\" type='groupchat'\n to='u1@localhost/load' from='r@chat/n'><body>x</body></message>";
        let tag = Tag::read(xml).unwrap();
        assert_eq!(
            (tag.name, tag.id, tag.type_),
            ("message", "a'b", "groupchat")
        );
        assert_eq!((tag.to, tag.from), ("u1@localhost/load", "r@chat/n"));
    }

    #[test]
    fn an_empty_element_ends() {
        let tag = Tag::read(b"<iq id='1'/>").unwrap();
        assert_eq!((tag.name, tag.id, tag.to), ("iq", "1", ""));
        assert_eq!(Tag::read(b"<presence/>").unwrap().name, "presence");
    }

    #[test]
    fn tags_inside_are_found() {
        let xml = b"<message id='1'><result xmlns='urn:xmpp:mam:2' queryid='q' id='A'><forwarded>\
                    <message id='m1-2' type='groupchat'><body>x</body></message></forwarded></result></message>";
        let (result, rest) = Tag::find(xml, "result").unwrap();
        assert_eq!((result.id, result.query), ("A", "q"));
        assert_eq!(Tag::find(rest, "message").unwrap().0.id, "m1-2");
        assert_eq!(inner(xml, "body"), Some("x"));
        assert!(Tag::find(xml, "stanza-id").is_none());
    }

    #[test]
    fn addresses_have_parts() {
        assert_eq!(bare("a@b/c/d"), "a@b");
        assert_eq!(
            (domain("a@b/c@d"), domain("b/c"), domain("b")),
            ("b", "b", "b")
        );
    }
}

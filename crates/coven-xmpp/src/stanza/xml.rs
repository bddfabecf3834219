//! A builder for the XML that the service itself writes.
//!
//! Owns well-formedness: elements close in order, values are escaped, names are constants. Opaque content is added
//! with [`Builder::raw`], and only what [`super::Payload`] gave out may go there.

use bytes::Bytes;

use super::escape;

/// Writes elements one after another into one buffer.
///
/// ```
/// use coven_xmpp::{ns, stanza::Builder};
///
/// let mut xml = Builder::new();
/// xml.open_ns("x", ns::MUC_USER);
/// xml.open("item").attr("role", "participant").attr("nick", "a & b").close();
/// xml.close();
/// assert_eq!(
///     xml.finish(),
///     "<x xmlns='http://jabber.org/protocol/muc#user'><item role='participant' nick='a &amp; b'/></x>"
/// );
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    out: Vec<u8>,
    open: Vec<&'static str>,
    in_tag: bool,
}

impl Builder {
    /// An empty run of elements.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty run with room for `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// Opens an element in the namespace of its parent (of the stanza, at the top).
    pub fn open(&mut self, name: &'static str) -> &mut Self {
        self.end_tag();
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        self.open.push(name);
        self.in_tag = true;
        self
    }

    /// Opens an element in a namespace of its own.
    pub fn open_ns(&mut self, name: &'static str, namespace: &str) -> &mut Self {
        self.open(name).attr("xmlns", namespace)
    }

    /// Adds an attribute to the element just opened. After content or without an element it does nothing.
    pub fn attr(&mut self, name: &'static str, value: &str) -> &mut Self {
        debug_assert!(self.in_tag, "attribute {name} outside of a start tag");
        if self.in_tag {
            self.out.push(b' ');
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"='");
            escape::attribute(&mut self.out, value);
            self.out.push(b'\'');
        }
        self
    }

    /// Adds an attribute if there is a value.
    pub fn attr_opt(&mut self, name: &'static str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// Adds text to the element that is open.
    pub fn text(&mut self, value: &str) -> &mut Self {
        if !value.is_empty() {
            self.end_tag();
            escape::text(&mut self.out, value);
        }
        self
    }

    /// Adds XML that is well-formed by itself, as [`super::Payload`] and other builders give it out.
    pub fn raw(&mut self, xml: &[u8]) -> &mut Self {
        if !xml.is_empty() {
            self.end_tag();
            self.out.extend_from_slice(xml);
        }
        self
    }

    /// Closes the element opened last; an empty one as `<name/>`.
    pub fn close(&mut self) -> &mut Self {
        let Some(name) = self.open.pop() else {
            return self;
        };
        if self.in_tag {
            self.out.extend_from_slice(b"/>");
            self.in_tag = false;
        } else {
            self.out.extend_from_slice(b"</");
            self.out.extend_from_slice(name.as_bytes());
            self.out.push(b'>');
        }
        self
    }

    /// An element with text and nothing else; empty text gives an empty element.
    pub fn leaf(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.open(name).text(value).close()
    }

    /// An empty element in a namespace of its own.
    pub fn empty(&mut self, name: &'static str, namespace: &str) -> &mut Self {
        self.open_ns(name, namespace).close()
    }

    /// Bytes written so far: what a page that must stay below a bound is measured by. A start tag still open counts
    /// without its end.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Closes what is still open and gives out the bytes.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        while !self.open.is_empty() {
            self.close();
        }
        Bytes::from(self.out)
    }

    fn end_tag(&mut self) {
        if self.in_tag {
            self.out.push(b'>');
            self.in_tag = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_06_values_cannot_leave_their_place() {
        let mut xml = Builder::new();
        xml.open("a")
            .attr("b", "'/><evil x='")
            .text("</a><evil/>")
            .close();
        let expected = "<a b='&apos;/&gt;&lt;evil x=&apos;'>&lt;/a&gt;&lt;evil/&gt;</a>";
        assert_eq!(xml.finish(), expected);
    }

    #[test]
    fn finish_closes_what_is_open() {
        let mut xml = Builder::with_capacity(64);
        xml.open_ns("a", "urn:a")
            .open("b")
            .attr_opt("c", None)
            .attr_opt("d", Some("1"))
            .raw(b"<e/>")
            .leaf("f", "");
        assert_eq!(xml.finish(), "<a xmlns='urn:a'><b d='1'><e/><f/></b></a>");
    }

    #[test]
    fn an_empty_builder_is_empty() {
        assert!(Builder::new().is_empty());
        assert_eq!(Builder::new().close().len(), 0);
    }
}

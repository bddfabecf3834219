//! The payload of a stanza: its child elements as opaque, validated bytes.
//!
//! Owns the form in which content travels from the first reader to the last recipient and the archive. Each child
//! stands for itself: one in the stanza's own namespace (body, subject, thread, show) carries no `xmlns`, any other
//! carries its own, and no child needs a prefix declared around it (MUC-COMP-14). So children may be left out, added
//! and concatenated freely, on component streams and inside of `jabber:client` alike. What payloads mean is not known.

use std::borrow::Cow;

use bytes::Bytes;
use minidom::Element;

use super::chars::decode;
use super::element;
use super::rewrite::rewrite;
use super::scan::{Fault, Scanner, Token};
use super::walk::{Scope, Start, Step, Walker};
use crate::ns;
use crate::stream::{Excess, Limits};

/// The children of a stanza, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload {
    xml: Bytes,
    children: Vec<Span>,
}

/// One child element of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child<'a> {
    /// Name without prefix.
    pub name: &'a str,
    /// Its namespace; [`ns::CLIENT`] for what is in the stanza's own, whatever the stream calls it.
    pub namespace: &'a str,
    /// The whole element, well-formed by itself.
    pub xml: &'a [u8],
}

/// Where a child stands in the payload. A child in the stanza's own namespace has `namespace_at` 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
    name_len: u32,
    namespace_at: u32,
    namespace_len: u32,
}

impl Payload {
    /// A stanza without children.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads a run of elements that stand inside of a stanza: from the archive, the journal, or from a builder.
    ///
    /// Elements without a namespace of their own are in the stanza's. What is not yet in the form above is rewritten.
    ///
    /// # Errors
    ///
    /// [`Fault`]: not well-formed, or over a bound.
    pub fn read(xml: Bytes, limits: &Limits) -> Result<Self, Fault> {
        let scope = Scope::default();
        let source = std::str::from_utf8(&xml).map_err(|_| Fault::Characters)?;
        if !super::chars::all_chars(source) {
            return Err(Fault::Characters);
        }
        let index = Index::read(&mut Walker::run(source, &scope, limits), source)?;
        if index.canonical {
            return Ok(Self {
                children: index.children,
                xml,
            });
        }
        let rewritten = rewrite(Walker::run(source, &scope, limits), 0, limits.stanza_bytes)?;
        Self::read_rewritten(rewritten, &scope, limits)
    }

    /// The payload of `xml`, a whole stanza that `index` was read from.
    pub(crate) fn of_stanza(
        xml: &Bytes,
        index: Index,
        scope: &Scope,
        limits: &Limits,
    ) -> Result<Self, Fault> {
        if index.canonical {
            return Ok(index.into_payload(xml));
        }
        let source = std::str::from_utf8(xml).map_err(|_| Fault::Characters)?;
        let rewritten = rewrite(
            Walker::stanza(source, scope, limits),
            1,
            limits.stanza_bytes,
        )?;
        Self::read_rewritten(rewritten, &Scope::default(), limits)
    }

    /// Bounds were checked on the original: rewriting moves declarations, and may add some.
    fn read_rewritten(xml: Vec<u8>, scope: &Scope, limits: &Limits) -> Result<Self, Fault> {
        let source = std::str::from_utf8(&xml).map_err(|_| Fault::Characters)?;
        let attributes = limits.attributes.saturating_mul(2).saturating_add(1);
        let relaxed = Limits {
            attributes,
            namespaces: attributes,
            ..limits.clone()
        };
        let index = Index::read(&mut Walker::run(source, scope, &relaxed), source)?;
        Ok(Self {
            children: index.children,
            xml: Bytes::from(xml),
        })
    }

    /// All children as one run of elements.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.xml
    }

    /// A copy with memory of its own: for what is kept, so that it does not keep the stanza's.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            xml: Bytes::copy_from_slice(&self.xml),
            children: self.children.clone(),
        }
    }

    /// Whether there are no children.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// The children in order.
    pub fn children(&self) -> impl Iterator<Item = Child<'_>> {
        self.children.iter().map(|span| span.child(&self.xml))
    }

    /// The first child of that namespace and name; [`ns::CLIENT`] for the stanza's own namespace.
    #[must_use]
    pub fn child(&self, namespace: &str, name: &str) -> Option<Child<'_>> {
        self.children().find(|child| child.is(namespace, name))
    }

    /// All children of that namespace and name.
    pub fn all<'a>(&'a self, namespace: &'a str, name: &'a str) -> impl Iterator<Item = Child<'a>> {
        self.children()
            .filter(move |child| child.is(namespace, name))
    }

    /// Whether there is a child of that namespace and name.
    #[must_use]
    pub fn has(&self, namespace: &str, name: &str) -> bool {
        self.child(namespace, name).is_some()
    }

    /// Whether there is a child of that namespace, whatever its name.
    #[must_use]
    pub fn has_namespace(&self, namespace: &str) -> bool {
        self.children().any(|child| child.namespace == namespace)
    }

    /// Text of the first child of that name in the stanza's own namespace: body, subject, thread, show, status.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.child(ns::CLIENT, name).map(|child| child.text())
    }

    /// What is left when the children for which `leave_out` holds are taken away. Shares memory if that is none.
    #[must_use]
    pub fn without(&self, leave_out: impl Fn(&Child<'_>) -> bool) -> Self {
        let keep: Vec<bool> = self.children().map(|child| !leave_out(&child)).collect();
        if keep.iter().all(|keep| *keep) {
            return self.clone();
        }
        let mut left = Vec::with_capacity(self.xml.len());
        let mut children = Vec::with_capacity(self.children.len());
        for (span, _) in self.children.iter().zip(keep).filter(|(_, keep)| *keep) {
            children.push(span.moved_to(left.len()));
            left.extend_from_slice(span.child(&self.xml).xml);
        }
        Self {
            xml: Bytes::from(left),
            children,
        }
    }
}

impl<'a> Child<'a> {
    /// Whether it has that namespace and name.
    #[must_use]
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    /// The value of an attribute, references replaced. Prefixed ones by their full name (`xml:lang`).
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<Cow<'a, str>> {
        decode(self.raw_attr(name)?, true)
    }

    /// The value of an attribute as it stands between its quotes: a part of the payload's bytes.
    #[must_use]
    pub fn raw_attr(&self, name: &str) -> Option<&'a str> {
        let mut scanner = Scanner::new(self.source());
        scanner.next().ok()?;
        while let Ok(Token::Attribute {
            name: found, value, ..
        }) = scanner.next()
        {
            if found.full == name {
                return Some(value);
            }
        }
        None
    }

    /// Its `xml:lang`.
    #[must_use]
    pub fn lang(&self) -> Option<Cow<'a, str>> {
        self.attr("xml:lang")
    }

    /// Its text, references replaced; text of elements inside of it left out.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        let mut text = Cow::Borrowed("");
        let mut depth = 0_usize;
        let mut scanner = Scanner::new(self.source());
        while let Ok(token) = scanner.next() {
            match token {
                Token::Open { .. } => depth += 1,
                Token::OpenEnd { empty: true } | Token::Close { .. } => {
                    depth = depth.saturating_sub(1)
                }
                Token::Text { raw } if depth == 1 => append(&mut text, super::unescape(raw)),
                Token::Cdata { content, .. } if depth == 1 => {
                    append(&mut text, Cow::Borrowed(content))
                }
                Token::End => break,
                _ => {}
            }
        }
        text
    }

    /// The element as a tree, for payloads that the service interprets. Its depth is already bounded.
    ///
    /// What is in the stanza's own namespace gets that of component streams, as `xmpp-parsers` is built to expect.
    ///
    /// # Errors
    ///
    /// [`Fault`]; never for a child of a payload that was read.
    pub fn to_element(&self) -> Result<Element, Fault> {
        element::parse(self.source())
    }

    fn source(&self) -> &'a str {
        std::str::from_utf8(self.xml).unwrap_or_default()
    }
}

impl Span {
    fn child<'a>(&self, xml: &'a [u8]) -> Child<'a> {
        let namespace = match self.namespace_at {
            0 => ns::CLIENT,
            at => part(xml, at, self.namespace_len),
        };
        Child {
            name: part(xml, self.start + 1, self.name_len),
            namespace,
            xml: xml
                .get(self.start as usize..self.end as usize)
                .unwrap_or_default(),
        }
    }

    /// The same span for an element copied to `start`.
    fn moved_to(self, start: usize) -> Self {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        let namespace_at = match self.namespace_at {
            0 => 0,
            at => at - self.start + start,
        };
        Self {
            start,
            end: self.end - self.start + start,
            namespace_at,
            ..self
        }
    }
}

/// Where the children of a stanza stand in its text.
#[derive(Debug)]
pub(crate) struct Index {
    children: Vec<Span>,
    /// Each child has the form that a payload wants, and nothing stands between them.
    canonical: bool,
}

impl Index {
    /// Reads what is left of the element that `walker` is in (or of the run), to its end.
    pub(crate) fn read(walker: &mut Walker<'_>, source: &str) -> Result<Self, Fault> {
        let parent = walker.depth();
        let mut index = Self {
            children: Vec::with_capacity(4),
            canonical: true,
        };
        loop {
            match walker.next()? {
                Step::Start(start) if walker.depth() == parent + 1 => {
                    index.begin(&start, source)?
                }
                Step::Start(start) => {
                    index.canonical &= !start.uses_outer && !start.declares_stream
                }
                Step::End { end } if walker.depth() == parent => index.end(end)?,
                Step::End { .. } if walker.depth() < parent => return Ok(index),
                Step::Text { .. } if walker.depth() == parent => index.canonical = false,
                Step::Done => return Ok(index),
                _ => {}
            }
        }
    }

    fn into_payload(mut self, stanza: &Bytes) -> Payload {
        let (Some(first), Some(last)) = (self.children.first(), self.children.last()) else {
            return Payload::empty();
        };
        let xml = stanza.slice(first.start as usize..last.end as usize);
        let offset = first.start;
        for span in &mut self.children {
            let start = span.start - offset;
            *span = span.moved_to(start as usize);
        }
        Payload {
            xml,
            children: self.children,
        }
    }

    fn begin(&mut self, start: &Start<'_>, source: &str) -> Result<(), Fault> {
        self.canonical &= is_canonical(start);
        let own = start
            .own_default
            .filter(|uri| !ns::is_stanza_namespace(uri));
        self.children.push(Span {
            start: offset(start.at)?,
            end: offset(start.at)?,
            name_len: offset(start.name.full.len())?,
            namespace_at: offset(own.map_or(0, |uri| offset_in(source, uri)))?,
            namespace_len: offset(own.map_or(0, str::len))?,
        });
        Ok(())
    }

    fn end(&mut self, end: usize) -> Result<(), Fault> {
        if let Some(span) = self.children.last_mut() {
            span.end = offset(end)?;
        }
        Ok(())
    }
}

/// Whether the start tag of a child is as it would be written: no prefix, no `xmlns` for the stanza's own namespace,
/// its own for any other, with nothing in it that has to be decoded.
fn is_canonical(start: &Start<'_>) -> bool {
    let is_plain = matches!(start.namespace, Cow::Borrowed(_));
    let declares_as_written = match start.own_default {
        Some(uri) => is_plain && !ns::is_stanza_namespace(uri),
        None => ns::is_stanza_namespace(&start.namespace),
    };
    start.name.prefix.is_empty()
        && !start.uses_outer
        && !start.declares_stream
        && declares_as_written
}

fn append<'a>(text: &mut Cow<'a, str>, more: Cow<'a, str>) {
    if text.is_empty() {
        *text = more;
    } else {
        text.to_mut().push_str(&more);
    }
}

fn offset(position: usize) -> Result<u32, Fault> {
    u32::try_from(position).map_err(|_| Excess::StanzaBytes.into())
}

/// Where `part`, a slice of `source`, begins.
fn offset_in(source: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(source.as_ptr() as usize)
}

fn part(xml: &[u8], at: u32, length: u32) -> &str {
    let at = at as usize;
    xml.get(at..at + length as usize)
        .and_then(|part| std::str::from_utf8(part).ok())
        .unwrap_or_default()
}

//! What was sent, and questions about it.

use bytes::Bytes;
use coven_xmpp::ns;
use coven_xmpp::stanza::{Scope, Stanza};
use coven_xmpp::stream::Limits;
use minidom::Element;
use std::fmt;
use std::ops::Deref;

/// One stanza as its recipient gets it.
#[derive(Clone)]
pub struct Sent {
    /// As it was written.
    pub xml: String,
    /// The same as a tree; its namespace is `jabber:client`.
    pub tree: Element,
    /// In whose form it was written, if it is not an answer.
    pub view: Option<coven_core::View>,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.xml)
    }
}

impl Sent {
    /// Reads it back, in two ways: as a server would, and as a tree.
    pub fn read(xml: &Bytes) -> Self {
        let limits = Limits {
            stanza_bytes: usize::MAX,
            ..Limits::default()
        };
        let stanza = Stanza::read(xml, &Scope::default(), &limits);
        stanza.unwrap_or_else(|e| panic!("{e:?}: {xml:?}"));
        let xml = String::from_utf8(xml.to_vec()).unwrap();
        let (name, rest) = xml.split_once(' ').unwrap();
        let qualified = format!("{name} xmlns='{}' {rest}", ns::CLIENT);
        Self {
            tree: qualified.parse().unwrap_or_else(|e| panic!("{e}: {xml}")),
            xml,
            view: None,
        }
    }

    pub fn to(&self) -> &str {
        self.attr("to")
    }

    pub fn from(&self) -> &str {
        self.attr("from")
    }

    pub fn kind(&self) -> &str {
        self.attr("type")
    }

    pub fn id(&self) -> &str {
        self.attr("id")
    }

    /// An attribute; empty if it is not there.
    pub fn attr(&self, name: &'static str) -> &str {
        self.tree.attr(name).unwrap_or_default()
    }

    pub fn is_presence(&self) -> bool {
        self.tree.name() == "presence"
    }

    pub fn is_message(&self) -> bool {
        self.tree.name() == "message"
    }

    pub fn is_iq(&self) -> bool {
        self.tree.name() == "iq"
    }

    pub fn body(&self) -> Option<String> {
        self.child("body", ns::CLIENT).map(Element::text)
    }

    pub fn child(&self, name: &str, namespace: &str) -> Option<&Element> {
        self.tree.get_child(name, namespace)
    }

    /// The `muc#user` `<x/>`, of which there is at most one.
    pub fn x(&self) -> Option<&Element> {
        let mut all = self.tree.children().filter(|c| c.is("x", ns::MUC_USER));
        let first = all.next();
        assert!(all.next().is_none(), "two x: {self:?}");
        first
    }

    /// Attribute of the `<item/>` of the `<x/>`.
    pub fn item(&self, name: &'static str) -> Option<&str> {
        self.x()?.get_child("item", ns::MUC_USER)?.attr(name)
    }

    /// Status codes, sorted; each is there once.
    pub fn codes(&self) -> Vec<u16> {
        let Some(x) = self.x() else { return Vec::new() };
        let statuses = x.children().filter(|c| c.is("status", ns::MUC_USER));
        let mut codes: Vec<u16> = statuses
            .map(|s| s.attr("code").unwrap().parse().unwrap())
            .collect();
        codes.sort_unstable();
        let count = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), count, "a code twice: {self:?}");
        codes
    }

    /// The occupant-id, of which there is at most one.
    pub fn occupant_id(&self) -> Option<&str> {
        let is_id = |c: &&Element| c.is("occupant-id", ns::OCCUPANT_ID);
        let mut all = self.tree.children().filter(is_id);
        let first = all.next();
        assert!(all.next().is_none(), "two occupant-ids: {self:?}");
        first?.attr("id")
    }

    /// The stanza-id, of which there is at most one of ours.
    pub fn stanza_id(&self) -> Option<&str> {
        let id = self.child("stanza-id", ns::SID)?;
        id.attr("id")
    }

    /// Type and condition of the error.
    pub fn error(&self) -> (&str, &str) {
        assert_eq!(self.kind(), "error", "{self:?}");
        let error = self.child("error", ns::CLIENT).unwrap();
        let mut conditions = error
            .children()
            .filter(|c| c.has_ns(ns::STANZA_ERRORS) && c.name() != "text");
        let condition = conditions.next().unwrap().name();
        assert!(conditions.next().is_none(), "{self:?}");
        (error.attr("type").unwrap(), condition)
    }

    /// `by` of the error.
    pub fn error_by(&self) -> Option<&str> {
        self.child("error", ns::CLIENT)?.attr("by")
    }

    /// The child of that name and namespace; it must be there.
    pub fn payload_of(&self, name: &str, namespace: &str) -> &Element {
        let child = self.child(name, namespace);
        child.unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The first element of that name and namespace, however deep; it must be there.
    pub fn find(&self, name: &str, namespace: &str) -> &Element {
        fn within<'a>(element: &'a Element, name: &str, namespace: &str) -> Option<&'a Element> {
            if element.is(name, namespace) {
                return Some(element);
            }
            element.children().find_map(|c| within(c, name, namespace))
        }
        within(&self.tree, name, namespace).unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The only child element.
    pub fn payload(&self) -> &Element {
        let mut children = self.tree.children();
        let first = children.next().unwrap();
        assert!(children.next().is_none(), "{self:?}");
        first
    }
}

/// Stanzas in the order in which they were sent.
#[derive(Debug, Clone, Default)]
pub struct Stanzas(Vec<Sent>);

impl Stanzas {
    pub fn new(all: Vec<Sent>) -> Self {
        Self(all)
    }

    /// Those to one address.
    pub fn to(&self, address: &str) -> Self {
        self.keep(|s| s.to() == address)
    }

    /// Those that are presences.
    pub fn presences(&self) -> Self {
        self.keep(Sent::is_presence)
    }

    /// Those that are messages.
    pub fn messages(&self) -> Self {
        self.keep(Sent::is_message)
    }

    pub fn keep(&self, keep: impl Fn(&Sent) -> bool) -> Self {
        Self(self.0.iter().filter(|s| keep(s)).cloned().collect())
    }

    /// The only one there is.
    pub fn one(&self) -> &Sent {
        assert_eq!(self.0.len(), 1, "{self:#?}");
        &self.0[0]
    }

    /// Their senders, in order.
    pub fn froms(&self) -> Vec<&str> {
        self.0.iter().map(Sent::from).collect()
    }

    /// Their addressees, in order.
    pub fn tos(&self) -> Vec<&str> {
        self.0.iter().map(Sent::to).collect()
    }
}

impl Deref for Stanzas {
    type Target = [Sent];

    fn deref(&self) -> &[Sent] {
        &self.0
    }
}

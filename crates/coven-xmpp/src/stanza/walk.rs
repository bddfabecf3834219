//! Walks over the elements of one stanza: nesting, namespaces, bounds.
//!
//! Owns what well-formedness needs memory for: tags that match, prefixes that are declared, attributes that occur once,
//! and the bounds of [`Limits`]. It keeps one entry per open element and builds no tree, so depth costs no stack (S-04).

use std::borrow::Cow;

use smol_str::SmolStr;

use super::chars::decode;
use super::scan::{Fault, QName, Scanner, Token};
use crate::ns;
use crate::stream::{Excess, Limits};

/// Bytes of a namespace: one may be written again for each element that is in it.
const MAX_NAMESPACE_BYTES: usize = 1024;
/// Prefixes in force at one place, in multiples of what one element may declare: each use is looked up among them.
const MAX_SCOPES: usize = 4;

/// Namespaces declared around what is read: those of the stream header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    default: SmolStr,
    bindings: Vec<(SmolStr, SmolStr)>,
}

impl Default for Scope {
    /// What XEP-0114 §3 puts into the header.
    fn default() -> Self {
        Self::new(ns::COMPONENT, vec![("stream".into(), ns::STREAM.into())])
    }
}

impl Scope {
    /// A default namespace, and prefixes with theirs.
    #[must_use]
    pub fn new(default: impl Into<SmolStr>, bindings: Vec<(SmolStr, SmolStr)>) -> Self {
        Self {
            default: default.into(),
            bindings,
        }
    }

    /// The namespace of elements without a prefix.
    #[must_use]
    pub fn default_namespace(&self) -> &str {
        &self.default
    }

    pub(crate) fn get(&self, prefix: &str) -> Option<&str> {
        self.bindings
            .iter()
            .find(|(name, _)| name == prefix)
            .map(|(_, uri)| uri.as_str())
    }
}

/// An attribute that declares no namespace.
#[derive(Debug, Clone)]
pub(crate) struct Attribute<'a> {
    pub(crate) name: QName<'a>,
    /// Empty without a prefix.
    pub(crate) namespace: Cow<'a, str>,
    pub(crate) value: &'a str,
    /// The value with its quotes.
    pub(crate) quoted: &'a str,
}

/// The start of an element; its attributes are at [`Walker::attributes`].
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// Where `<` stands.
    pub(crate) at: usize,
    pub(crate) name: QName<'a>,
    pub(crate) namespace: Cow<'a, str>,
    /// The value of its own `xmlns`, as it stands in the input.
    pub(crate) own_default: Option<&'a str>,
    /// It uses a prefix that was declared around the children of the stanza.
    pub(crate) uses_outer: bool,
    /// It declares a namespace that only the stanza itself may have on this stream.
    pub(crate) declares_stream: bool,
}

#[derive(Debug)]
pub(crate) enum Step<'a> {
    Start(Start<'a>),
    /// An element ended; `end` is the position after it.
    End {
        end: usize,
    },
    /// Text as it stands in the input; `content` is without the marks of CDATA.
    Text {
        raw: &'a str,
        content: &'a str,
        cdata: bool,
    },
    Done,
}

#[derive(Debug)]
struct Open<'a> {
    name: &'a str,
    default: Cow<'a, str>,
    bindings: usize,
    children: usize,
}

#[derive(Debug)]
pub(crate) struct Walker<'a> {
    scanner: Scanner<'a>,
    scope: &'a Scope,
    limits: &'a Limits,
    outer_depth: usize,
    top_children: usize,
    open: Vec<Open<'a>>,
    bindings: Vec<(&'a str, Cow<'a, str>)>,
    /// Bindings below this index were declared by the stanza element.
    inner_from: usize,
    attributes: Vec<Attribute<'a>>,
    empty_pending: bool,
}

impl<'a> Walker<'a> {
    /// A walk over a whole stanza.
    pub(crate) fn stanza(source: &'a str, scope: &'a Scope, limits: &'a Limits) -> Self {
        Self::new(source, scope, limits, 0)
    }

    /// A walk over a run of elements that stand inside of a stanza.
    pub(crate) fn run(source: &'a str, scope: &'a Scope, limits: &'a Limits) -> Self {
        Self::new(source, scope, limits, 1)
    }

    fn new(source: &'a str, scope: &'a Scope, limits: &'a Limits, outer_depth: usize) -> Self {
        Self {
            scanner: Scanner::new(source),
            scope,
            limits,
            outer_depth,
            top_children: 0,
            open: Vec::with_capacity(8),
            bindings: Vec::new(),
            inner_from: 0,
            attributes: Vec::with_capacity(8),
            empty_pending: false,
        }
    }

    /// Elements that are open.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Attributes of the element that started last, namespace declarations left out.
    pub(crate) fn attributes(&self) -> &[Attribute<'a>] {
        &self.attributes
    }

    pub(crate) fn next(&mut self) -> Result<Step<'a>, Fault> {
        if self.empty_pending {
            self.empty_pending = false;
            return self.end_element();
        }
        match self.scanner.next()? {
            Token::Open { at, name } => self.start(at, name),
            Token::Close { name } => self.close(name),
            Token::Text { raw } => Ok(Step::Text {
                raw,
                content: raw,
                cdata: false,
            }),
            Token::Cdata { raw, content } => Ok(Step::Text {
                raw,
                content,
                cdata: true,
            }),
            Token::End if self.open.is_empty() => Ok(Step::Done),
            Token::End => Err(Fault::Syntax("element does not end")),
            Token::Attribute { .. } | Token::OpenEnd { .. } => {
                Err(Fault::Syntax("attribute outside of a tag"))
            }
        }
    }

    fn start(&mut self, at: usize, name: QName<'a>) -> Result<Step<'a>, Fault> {
        self.count_child()?;
        let bindings = self.bindings.len();
        self.attributes.clear();
        let mut declared = Declared::default();
        self.read_attributes(&mut declared)?;
        let default = declared
            .default
            .take()
            .unwrap_or_else(|| self.default_namespace());
        self.open.push(Open {
            name: name.full,
            default,
            bindings,
            children: 0,
        });
        let is_root = self.outer_depth == 0 && self.open.len() == 1;
        if is_root {
            self.inner_from = self.bindings.len();
        }
        let (namespace, outer_name) = self.element_namespace(name)?;
        let outer_attribute = self.resolve_attributes()?;
        Ok(Step::Start(Start {
            at,
            name,
            namespace,
            own_default: declared.own_default,
            uses_outer: !is_root && (outer_name || outer_attribute),
            declares_stream: declared.stream,
        }))
    }

    fn count_child(&mut self) -> Result<(), Fault> {
        let depth = self.outer_depth + self.open.len();
        let count = self
            .open
            .last_mut()
            .map_or(&mut self.top_children, |parent| &mut parent.children);
        *count += 1;
        if *count > self.limits.children {
            return Err(Excess::Children.into());
        }
        if depth >= self.limits.depth {
            return Err(Excess::Depth.into());
        }
        Ok(())
    }

    fn read_attributes(&mut self, declared: &mut Declared<'a>) -> Result<(), Fault> {
        loop {
            match self.scanner.next()? {
                Token::Attribute {
                    name,
                    value,
                    quoted,
                } => {
                    self.check_attribute_limits(value, declared)?;
                    self.take_attribute(
                        Attribute {
                            name,
                            namespace: Cow::Borrowed(""),
                            value,
                            quoted,
                        },
                        declared,
                    )?;
                }
                Token::OpenEnd { empty } => {
                    self.empty_pending = empty;
                    return Ok(());
                }
                _ => return Err(Fault::Syntax("start tag does not end")),
            }
        }
    }

    fn check_attribute_limits(&self, value: &str, declared: &Declared<'_>) -> Result<(), Fault> {
        if self.attributes.len() + declared.count >= self.limits.attributes {
            return Err(Excess::Attributes.into());
        }
        if value.len() > self.limits.attribute_bytes {
            return Err(Excess::AttributeBytes.into());
        }
        Ok(())
    }

    fn take_attribute(
        &mut self,
        attribute: Attribute<'a>,
        declared: &mut Declared<'a>,
    ) -> Result<(), Fault> {
        let name = attribute.name;
        if name.prefix == "xmlns" {
            let uri = declared.prefix(name.local, attribute.value, self.limits)?;
            return self.bind(name.local, uri, declared.first_binding(self.bindings.len()));
        }
        if name.full == "xmlns" {
            return declared.set_default(attribute.value, self.limits);
        }
        if self
            .attributes
            .iter()
            .any(|other| other.name.full == name.full)
        {
            return Err(Fault::DuplicateAttribute);
        }
        self.attributes.push(attribute);
        Ok(())
    }

    fn bind(&mut self, prefix: &'a str, uri: Cow<'a, str>, first: usize) -> Result<(), Fault> {
        let own = self.bindings.get(first..).unwrap_or_default();
        if own.iter().any(|(other, _)| *other == prefix) {
            return Err(Fault::DuplicateAttribute);
        }
        if self.bindings.len() >= self.limits.namespaces.saturating_mul(MAX_SCOPES) {
            return Err(Excess::Namespaces.into());
        }
        self.bindings.push((prefix, uri));
        Ok(())
    }

    fn default_namespace(&self) -> Cow<'a, str> {
        self.open.last().map_or_else(
            || Cow::Borrowed(self.scope.default_namespace()),
            |parent| parent.default.clone(),
        )
    }

    fn element_namespace(&self, name: QName<'a>) -> Result<(Cow<'a, str>, bool), Fault> {
        if name.prefix.is_empty() {
            return Ok((self.default_namespace(), false));
        }
        self.resolve(name.prefix)
    }

    /// Gives each prefixed attribute its namespace; tells whether one was declared around the children.
    fn resolve_attributes(&mut self) -> Result<bool, Fault> {
        let mut uses_outer = false;
        for index in 0..self.attributes.len() {
            let Some(prefix) = self
                .attributes
                .get(index)
                .map(|attribute| attribute.name.prefix)
            else {
                break;
            };
            if prefix.is_empty() {
                continue;
            }
            let (namespace, outer) = self.resolve(prefix)?;
            uses_outer |= outer;
            self.set_namespace(index, namespace)?;
        }
        Ok(uses_outer)
    }

    fn set_namespace(&mut self, index: usize, namespace: Cow<'a, str>) -> Result<(), Fault> {
        let (before, rest) = self.attributes.split_at_mut(index);
        let Some(attribute) = rest.first_mut() else {
            return Ok(());
        };
        let is_same = |other: &Attribute<'_>| {
            other.namespace == namespace && other.name.local == attribute.name.local
        };
        if before.iter().any(is_same) {
            return Err(Fault::DuplicateAttribute);
        }
        attribute.namespace = namespace;
        Ok(())
    }

    /// The namespace of `prefix`, and whether it was declared around the children of the stanza.
    fn resolve(&self, prefix: &str) -> Result<(Cow<'a, str>, bool), Fault> {
        if prefix == "xml" {
            return Ok((Cow::Borrowed(ns::XML), false));
        }
        let found = self
            .bindings
            .iter()
            .enumerate()
            .rev()
            .find(|(_, (name, _))| *name == prefix);
        if let Some((index, (_, uri))) = found {
            return Ok((uri.clone(), index < self.inner_from));
        }
        self.scope
            .get(prefix)
            .map(|uri| (Cow::Borrowed(uri), true))
            .ok_or(Fault::Prefix)
    }

    fn close(&mut self, name: &str) -> Result<Step<'a>, Fault> {
        if self.open.last().is_none_or(|open| open.name != name) {
            return Err(Fault::Syntax("end tag of another element"));
        }
        self.end_element()
    }

    fn end_element(&mut self) -> Result<Step<'a>, Fault> {
        let open = self
            .open
            .pop()
            .ok_or(Fault::Syntax("end tag without a start"))?;
        self.bindings.truncate(open.bindings);
        Ok(Step::End {
            end: self.scanner.position(),
        })
    }
}

/// The namespace declarations of one start tag.
#[derive(Debug, Default)]
struct Declared<'a> {
    count: usize,
    prefixes: usize,
    own_default: Option<&'a str>,
    /// The same, decoded.
    default: Option<Cow<'a, str>>,
    stream: bool,
}

impl<'a> Declared<'a> {
    fn count(&mut self, limits: &Limits) -> Result<(), Fault> {
        self.count += 1;
        if self.count > limits.namespaces {
            return Err(Excess::Namespaces.into());
        }
        Ok(())
    }

    fn set_default(&mut self, value: &'a str, limits: &Limits) -> Result<(), Fault> {
        self.count(limits)?;
        if self.own_default.replace(value).is_some() {
            return Err(Fault::DuplicateAttribute);
        }
        let uri = uri(value)?;
        if uri == ns::XML || uri == ns::XMLNS {
            return Err(Fault::Prefix);
        }
        self.stream |= is_of_stream(&uri);
        self.default = Some(uri);
        Ok(())
    }

    /// Namespaces in XML 1.0 §3, §5: reserved prefixes and names, no undeclaring of prefixes.
    fn prefix(
        &mut self,
        prefix: &str,
        value: &'a str,
        limits: &Limits,
    ) -> Result<Cow<'a, str>, Fault> {
        self.count(limits)?;
        self.prefixes += 1;
        let uri = uri(value)?;
        let reserved = uri.is_empty() || uri == ns::XMLNS || prefix == "xmlns";
        if reserved || (prefix == "xml") != (uri == ns::XML) {
            return Err(Fault::Prefix);
        }
        self.stream |= is_of_stream(&uri);
        Ok(uri)
    }

    /// Index of the first binding of this tag, when `bindings` are there and the newest is not yet added.
    fn first_binding(&self, bindings: usize) -> usize {
        (bindings + 1).saturating_sub(self.prefixes)
    }
}

fn uri(value: &str) -> Result<Cow<'_, str>, Fault> {
    if value.len() > MAX_NAMESPACE_BYTES {
        return Err(Excess::AttributeBytes.into());
    }
    decode(value, true).ok_or(Fault::Syntax("unknown reference"))
}

/// `jabber:client` is left alone: that is how embedded stanzas are to be qualified (MUC-COMP-14).
fn is_of_stream(uri: &str) -> bool {
    uri == ns::COMPONENT || uri == ns::SERVER
}

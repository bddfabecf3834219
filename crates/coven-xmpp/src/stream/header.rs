//! What a server says about the stream itself: its header, the handshake, stream errors.
//!
//! Owns the reading of these three. What follows from them is `component.rs`.

use bytes::Bytes;
use smol_str::SmolStr;

use crate::ns;
use crate::stanza::{Fault, Scanner, Scope, Step, Token, Walker, decode};

use super::Limits;

/// The header of the server's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// The stream id, which the handshake is made with.
    pub(crate) id: Option<SmolStr>,
    /// Namespaces that it declares.
    pub(crate) scope: Scope,
}

/// What a server ended the stream for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream error {condition:?}: {text}")]
pub struct StreamError {
    /// Which condition.
    pub condition: StreamCondition,
    /// What it said for people; empty if nothing.
    pub text: SmolStr,
}

/// Conditions of stream errors that lead to different action, and all others.
///
/// Source: RFC 6120 §4.9.3, XEP-0114 §3. Requirement MUC-COMP-02.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StreamCondition {
    /// The secret is wrong: try the next.
    NotAuthorized,
    /// Another stream has this domain: stand by, do not fight.
    Conflict,
    /// The server does not know this domain as a component.
    HostUnknown,
    /// This is no port for components.
    InvalidNamespace,
    /// Any other, by name; empty if the error named none.
    Other(SmolStr),
}

impl StreamCondition {
    fn from_name(name: &str) -> Self {
        match name {
            "not-authorized" => Self::NotAuthorized,
            "conflict" => Self::Conflict,
            "host-unknown" => Self::HostUnknown,
            "invalid-namespace" => Self::InvalidNamespace,
            other => Self::Other(other.into()),
        }
    }
}

/// What a top-level element is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TopLevel {
    Handshake,
    Error(StreamError),
    Features,
    Other,
}

impl Header {
    /// Reads the start tag of a stream; `None` if it is not one.
    pub(crate) fn read(xml: &Bytes) -> Option<Self> {
        let mut scanner = Scanner::new(std::str::from_utf8(xml).ok()?);
        let Token::Open { name: root, .. } = scanner.next().ok()? else {
            return None;
        };
        let (mut id, mut default, mut bindings) = (None, SmolStr::default(), Vec::new());
        loop {
            match scanner.next().ok()? {
                Token::Attribute { name, value, .. } => {
                    let value = SmolStr::from(decode(value, true)?);
                    match name.full {
                        "id" => id = Some(value),
                        "xmlns" => default = value,
                        _ if name.prefix == "xmlns" => {
                            bindings.push((SmolStr::from(name.local), value))
                        }
                        _ => {}
                    }
                }
                Token::OpenEnd { .. } => break,
                _ => return None,
            }
        }
        let scope = Scope::new(default, bindings);
        let is_stream = root.local == "stream" && scope.get(root.prefix) == Some(ns::STREAM);
        is_stream.then_some(Self {
            id: id.filter(|id| !id.is_empty()),
            scope,
        })
    }
}

/// What `xml` is, if it is not a stanza.
pub(crate) fn classify(xml: &Bytes, scope: &Scope, limits: &Limits) -> TopLevel {
    if is_stanza(xml) {
        return TopLevel::Other;
    }
    read_top_level(xml, scope, limits).unwrap_or(TopLevel::Other)
}

/// Nearly all that comes; anything else about it is found out when it is read.
fn is_stanza(xml: &[u8]) -> bool {
    [&b"<message"[..], b"<presence", b"<iq"]
        .iter()
        .any(|start| xml.starts_with(start))
}

fn read_top_level(xml: &Bytes, scope: &Scope, limits: &Limits) -> Result<TopLevel, Fault> {
    let source = std::str::from_utf8(xml).map_err(|_| Fault::Characters)?;
    let mut walker = Walker::stanza(source, scope, limits);
    let Step::Start(root) = walker.next()? else {
        return Ok(TopLevel::Other);
    };
    match (root.namespace.as_ref(), root.name.local) {
        (ns::STREAM, "error") => read_error(walker).map(TopLevel::Error),
        (ns::STREAM, "features") => Ok(TopLevel::Features),
        (namespace, "handshake") if ns::is_stanza_namespace(namespace) => Ok(TopLevel::Handshake),
        _ => Ok(TopLevel::Other),
    }
}

/// The condition and the text; what some servers write without an element is taken as the text.
fn read_error(mut walker: Walker<'_>) -> Result<StreamError, Fault> {
    let mut error = StreamError {
        condition: StreamCondition::Other(SmolStr::default()),
        text: SmolStr::default(),
    };
    let mut in_text = true;
    loop {
        match walker.next()? {
            Step::Start(start) if start.namespace == ns::STREAM_ERRORS => {
                in_text = start.name.local == "text";
                if !in_text {
                    error.condition = StreamCondition::from_name(start.name.local);
                }
            }
            Step::Text { content, .. } if in_text && !content.trim().is_empty() => {
                error.text = decode(content.trim(), false).unwrap_or_default().into();
            }
            Step::Done => return Ok(error),
            _ => {}
        }
    }
}

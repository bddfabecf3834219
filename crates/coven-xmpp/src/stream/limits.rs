//! Hard bounds on what one stanza may be. They are always on.
//!
//! Owns the numbers and the names of the bounds. Size is watched by the framer, the rest by the walk over the stanza.
//! A stanza over a bound costs its sender an error, never the stream (I9, I10).

/// Bounds on one stanza.
///
/// Source: XEP-0045 §14.6, RFC 6120 §13.12. Requirements S-02, S-03, S-04.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole stanza, as it stands on the stream.
    pub stanza_bytes: usize,
    /// Elements inside one another, the stanza counted as the first.
    pub depth: usize,
    /// Attributes of one element, namespace declarations included.
    pub attributes: usize,
    /// Namespace declarations of one element.
    pub namespaces: usize,
    /// Direct children of one element.
    pub children: usize,
    /// Bytes of one attribute's value, before references are replaced.
    pub attribute_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stanza_bytes: 256 * 1024 - 4 * 1024,
            depth: 64,
            attributes: 64,
            namespaces: 16,
            children: 512,
            attribute_bytes: 64 * 1024,
        }
    }
}

/// Which bound a stanza went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Excess {
    /// [`Limits::stanza_bytes`].
    #[error("stanza too large")]
    StanzaBytes,
    /// [`Limits::depth`].
    #[error("elements nested too deeply")]
    Depth,
    /// [`Limits::attributes`].
    #[error("too many attributes")]
    Attributes,
    /// [`Limits::namespaces`].
    #[error("too many namespace declarations")]
    Namespaces,
    /// [`Limits::children`].
    #[error("too many child elements")]
    Children,
    /// [`Limits::attribute_bytes`].
    #[error("attribute too long")]
    AttributeBytes,
}

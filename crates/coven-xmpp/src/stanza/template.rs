//! A stanza rendered once, its `to` left open.
//!
//! Owns the form of everything that leaves: kind, addresses and type are written here and nowhere else, so each stanza
//! has `from` and `to` (MUC-COMP-03). A template is shared by all recipients of a variant; only the address differs.

use bytes::Bytes;
use smol_str::SmolStr;

use super::Kind;
use super::escape;

/// What stands in the start tag of an outgoing stanza, apart from `to`.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Message, presence or IQ.
    pub kind: Kind,
    /// Address of ours, as the recipient's view knows it.
    pub from: &'a str,
    /// `type`; none for normal messages and available presence.
    pub type_: Option<&'a str>,
    /// `id`; an IQ needs one.
    pub id: Option<&'a str>,
    /// `xml:lang`.
    pub lang: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// A head with nothing but kind and `from`.
    #[must_use]
    pub fn new(kind: Kind, from: &'a str) -> Self {
        Self {
            kind,
            from,
            type_: None,
            id: None,
            lang: None,
        }
    }

    /// With `type`.
    #[must_use]
    pub fn with_type(self, type_: &'a str) -> Self {
        Self {
            type_: Some(type_),
            ..self
        }
    }

    /// With `id`, if there is one.
    #[must_use]
    pub fn with_id(self, id: Option<&'a str>) -> Self {
        Self { id, ..self }
    }

    /// With `xml:lang`, if there is one.
    #[must_use]
    pub fn with_lang(self, lang: Option<&'a str>) -> Self {
        Self { lang, ..self }
    }
}

/// A serialised stanza whose `to` is filled in per recipient.
///
/// Cloning is cheap: the bytes are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    prefix: Bytes,
    suffix: Bytes,
    from_domain: SmolStr,
}

impl Template {
    /// Renders `head` around `payload`: a run of elements as [`super::Builder`] or [`super::Payload`] gives it.
    #[must_use]
    pub fn new(head: &Head<'_>, payload: &[u8]) -> Self {
        let name = head.kind.name();
        let mut out = Vec::with_capacity(96 + head.from.len() + payload.len());
        out.push(b'<');
        out.extend_from_slice(name.as_bytes());
        attribute(&mut out, " from='", Some(head.from));
        attribute(&mut out, " type='", head.type_);
        attribute(&mut out, " id='", head.id);
        attribute(&mut out, " xml:lang='", head.lang);
        out.extend_from_slice(b" to='");
        let cut = out.len();
        finish(&mut out, name, payload);
        let mut prefix = Bytes::from(out);
        let suffix = prefix.split_off(cut);
        Self {
            prefix,
            suffix,
            from_domain: domain_of(head.from).into(),
        }
    }

    /// Appends the stanza as it goes to `to`.
    pub fn write_to(&self, out: &mut Vec<u8>, to: &str) {
        self.write_head_to(out, to);
        out.extend_from_slice(&self.suffix);
    }

    /// Appends the stanza as it goes to `to`, without [`Self::tail`].
    pub(crate) fn write_head_to(&self, out: &mut Vec<u8>, to: &str) {
        out.extend_from_slice(&self.prefix);
        escape::attribute(out, to);
    }

    /// What is the same for all recipients from the end of `to` on.
    pub(crate) const fn tail(&self) -> &Bytes {
        &self.suffix
    }

    /// Bytes of the stanza without its `to`.
    #[must_use]
    pub fn len_without_to(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// The domain of `from`, which must be the stream's own.
    #[must_use]
    pub fn from_domain(&self) -> &str {
        &self.from_domain
    }
}

/// One stanza to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where it goes, unescaped, as the address came in.
    pub to: SmolStr,
    /// What goes.
    pub template: Template,
}

impl Outgoing {
    /// Renders one stanza for one address.
    #[must_use]
    pub fn new(head: &Head<'_>, to: &str, payload: &[u8]) -> Self {
        Self {
            to: to.into(),
            template: Template::new(head, payload),
        }
    }

    /// The stanza as it goes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.template.len_without_to() + self.to.len());
        self.template.write_to(&mut out, &self.to);
        Bytes::from(out)
    }
}

fn attribute(out: &mut Vec<u8>, open: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    out.extend_from_slice(open.as_bytes());
    escape::attribute(out, value);
    out.push(b'\'');
}

fn finish(out: &mut Vec<u8>, name: &str, payload: &[u8]) {
    if payload.is_empty() {
        return out.extend_from_slice(b"'/>");
    }
    out.extend_from_slice(b"'>");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
}

fn domain_of(address: &str) -> &str {
    let bare = address.split_once('/').map_or(address, |(bare, _)| bare);
    bare.split_once('@').map_or(bare, |(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn muc_comp_03_every_stanza_has_from_and_to() {
        let head = Head::new(Kind::Message, "r@chat.example/a'b")
            .with_type("groupchat")
            .with_id(Some("1"));
        let stanza = Outgoing::new(&head.with_lang(Some("de")), "u@h/<r>", b"<body>x</body>");
        let expected = "<message from='r@chat.example/a&apos;b' type='groupchat' id='1' xml:lang='de' \
                        to='u@h/&lt;r&gt;'><body>x</body></message>";
        assert_eq!(stanza.to_bytes(), expected);
        assert_eq!(stanza.template.from_domain(), "chat.example");
    }

    #[test]
    fn an_empty_stanza_has_an_empty_tag() {
        let stanza = Outgoing::new(&Head::new(Kind::Presence, "chat.example/x@y"), "u@h", b"");
        assert_eq!(
            stanza.to_bytes(),
            "<presence from='chat.example/x@y' to='u@h'/>"
        );
        assert_eq!(stanza.template.from_domain(), "chat.example");
    }
}

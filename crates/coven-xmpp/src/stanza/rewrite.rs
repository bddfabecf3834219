//! Gives the children of a stanza the form that a payload wants.
//!
//! Owns the slow way, for children that use prefixes declared around them, or qualify themselves by a namespace that
//! only stanzas of this stream have. Names, text and values are copied as they stand; only where namespaces are
//! declared changes. An embedded stanza comes out qualified by `jabber:client` (MUC-COMP-14).

use super::escape;
use super::scan::Fault;
use super::walk::{Attribute, Start, Step, Walker};
use crate::ns;
use crate::stream::Excess;

/// What is written for the children of the element at `depth` (0: the run itself).
///
/// A declaration is written again wherever it is needed, so a small stanza could become a large one: `max_bytes` holds
/// for the result as well.
pub(crate) fn rewrite(
    mut walker: Walker<'_>,
    depth: usize,
    max_bytes: usize,
) -> Result<Vec<u8>, Fault> {
    let mut writer = Rewriter::default();
    while writer.out.len() <= max_bytes {
        match walker.next()? {
            Step::Start(start) if walker.depth() > depth => {
                writer.start(&start, walker.attributes())
            }
            Step::End { .. } if walker.depth() >= depth => writer.end(),
            Step::Text { raw, .. } if walker.depth() > depth => writer.text(raw),
            Step::Done => return Ok(writer.out),
            _ => {}
        }
    }
    Err(Excess::StanzaBytes.into())
}

#[derive(Debug, Default)]
struct Rewriter {
    out: Vec<u8>,
    /// Name and namespace of each open element.
    open: Vec<(String, String)>,
    in_tag: bool,
}

impl Rewriter {
    fn start(&mut self, start: &Start<'_>, attributes: &[Attribute<'_>]) {
        self.end_tag();
        let namespace = if ns::is_stanza_namespace(&start.namespace) {
            ns::CLIENT
        } else {
            &start.namespace
        };
        self.push("<");
        self.push(start.name.local);
        if self.open.last().map_or(ns::CLIENT, |(_, around)| around) != namespace {
            self.declare("xmlns", namespace);
        }
        for (index, attribute) in attributes.iter().enumerate() {
            self.attribute(index, attribute);
        }
        self.open
            .push((start.name.local.to_owned(), namespace.to_owned()));
        self.in_tag = true;
    }

    fn attribute(&mut self, index: usize, attribute: &Attribute<'_>) {
        let prefix = match attribute.name.prefix {
            "" => String::new(),
            "xml" => "xml:".to_owned(),
            _ => format!("a{index}:"),
        };
        if let Some(name) = prefix.strip_suffix(':').filter(|name| *name != "xml") {
            let uri = if ns::is_stanza_namespace(&attribute.namespace) {
                ns::CLIENT
            } else {
                &attribute.namespace
            };
            self.declare(&format!("xmlns:{name}"), uri);
        }
        self.push(" ");
        self.push(&prefix);
        self.push(attribute.name.local);
        self.push("=");
        self.push(attribute.quoted);
    }

    fn declare(&mut self, name: &str, uri: &str) {
        self.push(" ");
        self.push(name);
        self.push("='");
        escape::attribute(&mut self.out, uri);
        self.push("'");
    }

    fn text(&mut self, raw: &str) {
        self.end_tag();
        self.push(raw);
    }

    fn end(&mut self) {
        let Some((name, _)) = self.open.pop() else {
            return;
        };
        if self.in_tag {
            self.in_tag = false;
            return self.push("/>");
        }
        self.push("</");
        self.push(&name);
        self.push(">");
    }

    fn end_tag(&mut self) {
        if self.in_tag {
            self.push(">");
            self.in_tag = false;
        }
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

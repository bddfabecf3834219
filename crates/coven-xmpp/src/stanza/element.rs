//! Trees for payloads that the service interprets.
//!
//! Owns the step from validated bytes to [`minidom`]. The walk before it bounds depth, so neither building nor dropping
//! the tree can exhaust the stack (S-04); and it has no bound on the length of a token, unlike `minidom`'s own reader.

use std::borrow::Cow;

use minidom::Element;
use rxml::{Namespace, NcName};

use super::chars::decode;
use super::scan::Fault;
use super::walk::{Attribute, Scope, Start, Step, Walker};
use crate::stream::Limits;

/// The tree of one element that stands inside of a stanza.
pub(crate) fn parse(source: &str) -> Result<Element, Fault> {
    let scope = Scope::default();
    let limits = relaxed();
    let mut walker = Walker::run(source, &scope, &limits);
    let mut open: Vec<Element> = Vec::new();
    loop {
        match walker.next()? {
            Step::Start(start) => open.push(element(&start, walker.attributes())?),
            Step::Text { content, cdata, .. } => append_text(&mut open, content, cdata)?,
            Step::End { .. } => {
                let closed = open.pop().ok_or(Fault::Syntax("end tag without a start"))?;
                let Some(parent) = open.last_mut() else {
                    return Ok(closed);
                };
                parent.append_child(closed);
            }
            Step::Done => return Err(Fault::Syntax("no element")),
        }
    }
}

/// Bounds were checked when the payload was read; only depth is kept, since trees are recursive.
fn relaxed() -> Limits {
    let max = usize::MAX;
    Limits {
        stanza_bytes: max,
        attributes: max,
        namespaces: max,
        children: max,
        attribute_bytes: max,
        depth: 256,
    }
}

fn element(start: &Start<'_>, attributes: &[Attribute<'_>]) -> Result<Element, Fault> {
    let mut element = Element::bare(start.name.local, start.namespace.as_ref());
    for attribute in attributes {
        let namespace = match attribute.namespace.as_ref() {
            "" => Namespace::NONE,
            uri => Namespace::from(uri.to_owned()),
        };
        let name =
            NcName::try_from(attribute.name.local).map_err(|_| Fault::Syntax("not a name"))?;
        let value = decode(attribute.value, true).ok_or(Fault::Syntax("unknown reference"))?;
        element.set_attr(namespace, name, value.into_owned());
    }
    Ok(element)
}

fn append_text(open: &mut [Element], content: &str, cdata: bool) -> Result<(), Fault> {
    let Some(parent) = open.last_mut() else {
        return Ok(());
    };
    let text = if cdata {
        Some(Cow::Borrowed(content))
    } else {
        decode(content, false)
    };
    parent.append_text(text.ok_or(Fault::Syntax("unknown reference"))?);
    Ok(())
}

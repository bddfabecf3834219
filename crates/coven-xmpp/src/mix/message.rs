//! Groupchat messages as participants get them (XEP-0369 §7.1.6; MIX-MSG-03..13), live and archived.

use super::addresses::Addresses;
use super::subscriber;
use crate::ns;
use crate::render::{Quirks, Sink};
use crate::stanza::{Builder, Head, Kind, Template};
use coven_core::Roster;
use coven_core::event::Message;
use coven_core::people::participation::Node;
use coven_core::people::visibility::Visibility;
use smol_str::SmolStr;

/// One copy to the bare JID of each subscriber of the messages node, the sender's included.
pub(crate) fn distribute(names: &Addresses, roster: &Roster, m: &Message, sink: &mut impl Sink) {
    let mut plain = None;
    let mut for_ejabberd = None;
    for (person, participation) in roster.subscribers(Node::Messages) {
        let to = subscriber(person, participation);
        let quirks = sink.quirks(&to);
        let slot = if quirks.ejabberd_pam {
            &mut for_ejabberd
        } else {
            &mut plain
        };
        let template = slot.get_or_insert_with(|| template(names, m, quirks));
        sink.send(template, to);
    }
}

/// What stands in `<forwarded/>`: the distributed message without `to` (MIX-MAM-14, 15). Its JID is shown only where it
/// was visible to everybody when it was sent, and still is.
pub(crate) fn archived(names: &Addresses, m: &Message, now: Visibility, xml: &mut Builder) {
    let visible = m.visibility == Visibility::Visible && now == Visibility::Visible;
    xml.open_ns("message", ns::CLIENT)
        .attr("from", &names.speaker(m.id))
        .attr("type", "groupchat")
        .attr("id", &id(m))
        .attr_opt("xml:lang", m.lang.as_deref());
    content(names, m, visible, Quirks::default(), xml);
    xml.close();
}

fn template(names: &Addresses, m: &Message, quirks: Quirks) -> Template {
    let (from, id) = (names.speaker(m.id), id(m));
    let mut xml = Builder::with_capacity(m.payload.len() + 256);
    content(
        names,
        m,
        m.visibility == Visibility::Visible,
        quirks,
        &mut xml,
    );
    let head = Head::new(Kind::Message, &from)
        .with_type("groupchat")
        .with_id(Some(&id));
    Template::new(&head.with_lang(m.lang.as_deref()), &xml.finish())
}

fn content(names: &Addresses, m: &Message, visible: bool, quirks: Quirks, xml: &mut Builder) {
    payload(m, xml);
    xml.open_ns("mix", ns::MIX_CORE);
    // Either of the two has to be there (MIX-MSG-06): a generated nick where there is nothing else.
    if m.nick_chosen || !visible {
        xml.leaf("nick", &m.nick);
    }
    if visible {
        xml.leaf("jid", m.jid.as_str());
    }
    xml.close();
    if quirks.ejabberd_pam {
        xml.open_ns("mix", "").close();
    }
    if m.archived {
        xml.open_ns("stanza-id", ns::SID)
            .attr("by", &names.bare)
            .attr("id", &id(m))
            .close();
    }
}

/// The sender's elements, with an id that means another message in the form participants know it by: its archive id
/// (MIX-MSG-15, MAP-26).
fn payload(m: &Message, xml: &mut Builder) {
    let parts = m.reference.as_ref().and_then(|(reference, resolved)| {
        let (start, end) = (reference.start as usize, reference.end as usize);
        Some((
            m.payload.get(..start)?,
            &resolved.archive_id,
            m.payload.get(end..)?,
        ))
    });
    match parts {
        Some((before, id, after)) => {
            let mut whole = before.to_vec();
            whole.extend_from_slice(id.text().as_str().as_bytes());
            whole.extend_from_slice(after);
            xml.raw(&whole);
        }
        None => {
            xml.raw(&m.payload);
        }
    }
}

fn id(m: &Message) -> SmolStr {
    m.archive_id.text().as_str().into()
}

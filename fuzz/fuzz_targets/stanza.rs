//! One stanza: what we take, another parser takes, and it understands the same.
#![no_main]

use bytes::Bytes;
use coven_xmpp::ns;
use coven_xmpp::stanza::strip::{Ours, strip};
use coven_xmpp::stanza::{Echo, Payload, Scope, Stanza, StanzaError};
use coven_xmpp::stream::Limits;
use libfuzzer_sys::fuzz_target;
use rxml::{Event, Options, Parse, Parser, WithOptions};

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Start(String, String, Vec<(String, String, String)>),
    Text(String),
    End,
}

/// What `rxml` sees inside of the first element; `None` if it refuses.
fn by_rxml(xml: &[u8]) -> Option<Vec<Seen>> {
    let header = b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>";
    let whole = [header, xml, b"</stream:stream>"].concat();
    let mut parser = Parser::with_options(Options { max_token_length: 1 << 20, ..Options::default() });
    let mut input = whole.as_slice();
    let (mut depth, mut seen) = (0, Vec::new());
    while let Some(event) = parser.parse(&mut input, true).ok()? {
        match event {
            Event::StartElement(_, (namespace, name), attributes) => {
                depth += 1;
                if depth > 2 {
                    let flat = |((namespace, name), value): ((rxml::Namespace<'_>, rxml::NcName), String)| {
                        (unified(&namespace), name.to_string(), value)
                    };
                    let mut attributes: Vec<_> = attributes.into_iter().map(flat).collect();
                    attributes.sort();
                    seen.push(Seen::Start(unified(&namespace), name.to_string(), attributes));
                }
            }
            Event::EndElement(_) => {
                if depth > 2 {
                    seen.push(Seen::End);
                }
                depth -= 1;
            }
            Event::Text(_, text) if depth > 2 && !text.is_empty() => match seen.last_mut() {
                Some(Seen::Text(before)) => before.push_str(&text),
                _ => seen.push(Seen::Text(text)),
            },
            _ => {}
        }
    }
    Some(seen)
}

fn unified(namespace: &str) -> String {
    if ns::is_stanza_namespace(namespace) { ns::CLIENT.into() } else { namespace.into() }
}

fn check(xml: &[u8], stanza: &Stanza) {
    let original = by_rxml(xml).expect("rxml takes what we take");
    let again = [b"<message>", stanza.payload.bytes().as_ref(), b"</message>"].concat();
    assert_eq!(by_rxml(&again).as_ref(), Some(&original));
    let reread = Payload::read(stanza.payload.bytes().clone(), &Limits::default());
    assert_eq!(reread.as_ref(), Ok(&stanza.payload));
    for child in stanza.payload.children() {
        child.to_element().expect("a tree");
        let _ = (child.text(), child.lang());
    }
}

fn check_answers(stanza: &Stanza) {
    let ours = Ours::new(stanza.to.bare_jid());
    let _ = strip(&stanza.payload, &ours);
    let _ = StanzaError::read(&stanza.payload);
    let error = coven_xmpp::stanza::Condition::BadRequest.into();
    if let Some(reply) = coven_xmpp::stanza::error_reply(stanza, &error, Echo::UpTo(100_000)) {
        let back = Stanza::read(&reply.to_bytes(), &Scope::default(), &Limits::default()).expect("our own stanza");
        assert_eq!((back.from, back.to, back.id), (stanza.to.clone(), stanza.from.clone(), stanza.id.clone()));
        assert!(StanzaError::read(&back.payload).is_some());
    }
}

/// A lone carriage return in an attribute is white space to XML; `rxml` 0.14 refuses or drops it.
fn has_lone_return(xml: &[u8]) -> bool {
    xml.split_inclusive(|byte| *byte == b'\r').skip(1).any(|rest| !rest.starts_with(b"\n"))
}

fuzz_target!(|data: &[u8]| {
    let xml = Bytes::copy_from_slice(data);
    match Stanza::read(&xml, &Scope::default(), &Limits::default()) {
        Ok(stanza) => {
            if !has_lone_return(data) {
                check(data, &stanza);
            }
            check_answers(&stanza);
        }
        Err(rejected) => {
            let _ = rejected.reply(Echo::UpTo(1000)).map(|reply| reply.to_bytes());
        }
    }
});

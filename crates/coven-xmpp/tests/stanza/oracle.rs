//! The same stanzas read by `rxml`, a parser that shares no code with ours: what we take it takes, and it sees the same.
//!
//! covers: S-05 (parsers must not disagree)

use bytes::Bytes;
use coven_xmpp::ns;
use coven_xmpp::stanza::{Builder, Payload, Scope, Stanza};
use coven_xmpp::stream::Limits;
use proptest::prelude::*;
use rxml::{Event, Options, Parse, Parser, WithOptions};

/// A stanza as a flat list; namespaces of stanzas are one, text in one piece, attributes in order of their names.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Start(String, String, Vec<(String, String, String)>),
    Text(String),
    End,
}

/// What `rxml` sees inside of the first element of `xml`, read under a stream header; `None` if it refuses.
fn rxml_children(xml: &[u8]) -> Option<Vec<Seen>> {
    let header = b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>";
    let whole = [header, xml, b"</stream:stream>"].concat();
    let options = Options {
        max_token_length: 1 << 20,
        ..Options::default()
    };
    let mut parser = Parser::with_options(options);
    let mut input = whole.as_slice();
    let (mut depth, mut seen) = (0, Vec::new());
    loop {
        match parser.parse(&mut input, true).ok()? {
            None => return Some(seen),
            Some(Event::StartElement(_, (namespace, name), attributes)) => {
                depth += 1;
                if depth > 2 {
                    let mut flat: Vec<_> = attributes
                        .into_iter()
                        .map(|((namespace, name), value)| {
                            (unified(&namespace), name.to_string(), value)
                        })
                        .collect();
                    flat.sort();
                    seen.push(Seen::Start(unified(&namespace), name.to_string(), flat));
                }
            }
            Some(Event::EndElement(_)) => {
                if depth > 2 {
                    seen.push(Seen::End);
                }
                depth -= 1;
            }
            Some(Event::Text(_, text)) if depth > 2 && !text.is_empty() => match seen.last_mut() {
                Some(Seen::Text(before)) => before.push_str(&text),
                _ => seen.push(Seen::Text(text)),
            },
            Some(_) => {}
        }
    }
}

/// Attributes that differ only in which of the stanza namespaces they are in become the same one: refused.
fn merges_attributes(seen: &[Seen]) -> bool {
    let merges = |attributes: &Vec<(String, String, String)>| {
        attributes
            .windows(2)
            .any(|two| (&two[0].0, &two[0].1) == (&two[1].0, &two[1].1))
    };
    seen.iter()
        .any(|event| matches!(event, Seen::Start(_, _, attributes) if merges(attributes)))
}

fn unified(namespace: &str) -> String {
    if ns::is_stanza_namespace(namespace) {
        ns::CLIENT.into()
    } else {
        namespace.into()
    }
}

fn read(xml: &[u8]) -> Option<Stanza> {
    Stanza::read(
        &Bytes::copy_from_slice(xml),
        &Scope::default(),
        &Limits::default(),
    )
    .ok()
}

/// All that must hold of what we took.
fn check(xml: &[u8], stanza: &Stanza) {
    let shown = String::from_utf8_lossy(xml);
    let original = rxml_children(xml).unwrap_or_else(|| panic!("only we take {shown}"));
    for around in ["<message>", "<message xmlns='jabber:client'>"] {
        let again = [around.as_bytes(), stanza.payload.bytes(), b"</message>"].concat();
        assert_eq!(
            rxml_children(&again).as_ref(),
            Some(&original),
            "{shown} became {stanza:?}"
        );
    }
    assert_eq!(
        Payload::read(stanza.payload.bytes().clone(), &Limits::default()).as_ref(),
        Ok(&stanza.payload),
        "{shown}"
    );
    for child in stanza.payload.children() {
        check_child(child.xml, stanza, &shown);
        assert!(child.to_element().is_ok(), "{shown}");
    }
}

fn check_child(xml: &[u8], stanza: &Stanza, shown: &str) {
    let alone = Payload::read(Bytes::copy_from_slice(xml), &Limits::default()).unwrap();
    let first = alone.children().next().unwrap();
    assert!(
        stanza.payload.children().any(|child| child == first),
        "{shown}"
    );
}

#[derive(Debug, Clone)]
enum Tree {
    Element {
        name: String,
        attributes: Vec<(String, String)>,
        children: Vec<Self>,
    },
    Raw(String),
}

fn write(tree: &Tree, out: &mut String) {
    match tree {
        Tree::Raw(text) => out.push_str(text),
        Tree::Element {
            name,
            attributes,
            children,
        } => {
            out.push_str(&format!("<{name}"));
            for (index, (name, value)) in attributes.iter().enumerate() {
                if !attributes[..index].iter().any(|(other, _)| other == name) {
                    out.push_str(&format!(" {name}={value}"));
                }
            }
            if children.is_empty() && name.len() % 2 == 0 {
                return out.push_str("/>");
            }
            out.push('>');
            children.iter().for_each(|child| write(child, out));
            out.push_str(&format!("</{name} >"));
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    (
        prop::sample::select(vec!["", "", "", "p:", "q:", "stream:"]),
        prop::sample::select(vec!["a", "bc", "body", "é"]),
    )
        .prop_map(|(prefix, local)| format!("{prefix}{local}"))
}

fn value() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "''",
        "'v'",
        "\"it's\"",
        "'&lt;&#10;&quot;'",
        "'a\n\tb'",
        "' x '",
        "'\r\n'",
        "'jabber:client'",
        "'>'",
    ])
    .prop_map(String::from)
}

fn attribute() -> impl Strategy<Value = (String, String)> {
    let uri = prop::sample::select(vec![
        "'urn:a'",
        "'urn:b'",
        "'urn&#58;a'",
        "\"urn:it's\"",
        "'jabber:client'",
        "'jabber:component:accept'",
        "'jabber:server'",
    ]);
    let declared = prop::sample::select(vec!["xmlns", "xmlns:p", "xmlns:q"]);
    prop_oneof![
        3 => (declared, uri).prop_map(|(name, uri)| (name.to_owned(), uri.to_owned())),
        1 => Just(("xmlns".to_owned(), "''".to_owned())),
        3 => (name(), value()),
        1 => value().prop_map(|value| ("xml:lang".to_owned(), value)),
    ]
}

fn raw() -> impl Strategy<Value = Tree> {
    let texts = vec![
        "text",
        " ",
        "\n",
        "a&amp;b",
        "&#x1F916;",
        "<![CDATA[<x>&]]>",
        "<![CDATA[]]>",
        "é",
        "]]",
        "\r\n",
        "<![CDATA[]]]]>",
        ">",
    ];
    prop::sample::select(texts).prop_map(|text| Tree::Raw(text.to_owned()))
}

fn tree() -> impl Strategy<Value = Tree> {
    let attributes = || prop::collection::vec(attribute(), 0..4);
    let leaf = prop_oneof![
        raw(),
        (name(), attributes()).prop_map(|(name, attributes)| Tree::Element {
            name,
            attributes,
            children: Vec::new()
        }),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let children = prop::collection::vec(inner, 0..4);
        (name(), attributes(), children).prop_map(|(name, attributes, children)| Tree::Element {
            name,
            attributes,
            children,
        })
    })
}

/// A whole stanza, now and then with a prefix of its own, mostly with the prefixes that its children use.
fn stanza() -> impl Strategy<Value = String> {
    let declarations = prop::sample::select(vec![
        "",
        "xmlns:p='urn:p' xmlns:q=\"urn:it's\"",
        "xmlns:p='urn:p' xmlns:q='urn:p' xmlns='jabber:client'",
        "xmlns:p='jabber:component:accept' xmlns:q='urn:q'",
    ]);
    (
        declarations,
        any::<bool>(),
        prop::collection::vec(tree(), 0..5),
    )
        .prop_map(|(declarations, prefixed, children)| {
            let mut inner = String::new();
            children.iter().for_each(|child| write(child, &mut inner));
            let (start, end) = if prefixed && declarations.is_empty() {
                (
                    "c:message xmlns:c='jabber:component:accept' xmlns='urn:d' xmlns:p='urn:d'",
                    "c:message",
                )
            } else {
                ("message", "message")
            };
            format!("<{start} from='u@h/r' to='r@c' {declarations}>{inner}</{end}>")
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn muc_comp_14_s_05_what_we_take_means_the_same_to_rxml(xml in stanza()) {
        match read(xml.as_bytes()) {
            Some(stanza) => {
                check(xml.as_bytes(), &stanza);
                let written = String::from_utf8_lossy(stanza.payload.bytes());
                prop_assert!(!written.contains(ns::COMPONENT) && !written.contains(ns::SERVER), "{}", written);
            }
            None => {
                let seen = rxml_children(xml.as_bytes());
                prop_assert!(seen.is_none_or(|seen| merges_attributes(&seen)), "only rxml takes {}", xml);
            }
        }
    }

    #[test]
    fn s_05_damaged_stanzas_never_panic_and_never_pass(xml in stanza(), at in any::<prop::sample::Index>(), with in any::<u8>(), cut in 0_usize..4) {
        let mut damaged = xml.into_bytes();
        let at = at.index(damaged.len());
        let end = (at + cut).min(damaged.len());
        damaged.splice(at..end, [with]);
        // A lone carriage return in an attribute is white space to XML; `rxml` 0.14 refuses or drops it.
        let lone = damaged.split_inclusive(|byte| *byte == b'\r').skip(1).any(|rest| !rest.starts_with(b"\n"));
        if let Some(stanza) = read(&damaged).filter(|_| !lone) {
            check(&damaged, &stanza);
        }
    }

    #[test]
    fn s_05_any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let _ = Payload::read(Bytes::from(bytes), &Limits::default());
    }

    /// covers: S-06
    #[test]
    fn s_06_what_the_builder_writes_is_read_back(attribute in "\\PC{0,40}|[\n\r\t&<>'\"\\]]{0,9}", content in "\\PC{0,40}|[\n\r\t&<>'\"\\]]{0,9}") {
        let mut xml = Builder::new();
        xml.open_ns("x", "urn:x").attr("a", &attribute).text(&content).close();
        let payload = Payload::read(xml.finish(), &Limits::default()).unwrap();
        let child = payload.child("urn:x", "x").unwrap();
        prop_assert_eq!(child.attr("a").unwrap(), attribute.as_str());
        prop_assert_eq!(child.text(), content.as_str());
        let tree = child.to_element().unwrap();
        prop_assert_eq!(tree.text(), content);
    }
}

//! Payloads: each child stands for itself.

use bytes::Bytes;
use coven_xmpp::ns;
use coven_xmpp::stanza::{Payload, Scope, Stanza};
use coven_xmpp::stream::Limits;

use super::{message, rewritten};

#[test]
fn what_is_already_right_shares_memory_with_the_stanza() {
    let children = "<body>x &lt; y</body><x xmlns='urn:x'><y a='1' xml:lang='de'/><z:z xmlns:z='urn:z'/></x>\
                    <forwarded xmlns='urn:f'><message xmlns='jabber:client'><body>z</body></message></forwarded>";
    let xml = Bytes::from(format!("<message from='u@h' to='r@c'>{children}</message>"));
    let stanza = Stanza::read(&xml, &Scope::default(), &Limits::default()).unwrap();
    assert_eq!(super::text(&stanza.payload), children);
    let inside = xml.as_ptr_range();
    assert!(inside.contains(&stanza.payload.bytes().as_ptr()));
    assert!(!inside.contains(&stanza.payload.detached().bytes().as_ptr()));
    assert_eq!(stanza.payload.detached(), stanza.payload);
}

#[test]
fn muc_comp_14_the_streams_namespace_is_never_written() {
    for children in [
        "<body xmlns='jabber:component:accept'>x</body>",
        "<body xmlns='jabber:client'>x</body>",
        "<c:body xmlns:c='jabber:client'>x</c:body>",
        "<c:body xmlns:c='jabber:component:accept'>x</c:body>",
        " <body>x</body>\n",
    ] {
        assert_eq!(rewritten(children), "<body>x</body>", "{children}");
    }
    let qualified = "<c:message xmlns:c='jabber:component:accept' from='u@h' to='r@c'><c:body>x</c:body></c:message>";
    assert_eq!(
        super::text(&super::read(qualified).unwrap().payload),
        "<body>x</body>"
    );
}

#[test]
fn muc_comp_14_an_embedded_stanza_is_qualified_by_jabber_client() {
    let client = "<forwarded xmlns='urn:f'><message xmlns='jabber:client'><body>x</body></message></forwarded>";
    assert_eq!(rewritten(client), client);
    assert_eq!(
        rewritten(&client.replace("jabber:client", "jabber:component:accept")),
        client
    );
    let prefixed = "<forwarded xmlns='urn:f' xmlns:c='jabber:component:accept'><c:message><c:body>x</c:body></c:message>\
                    </forwarded>";
    assert_eq!(rewritten(prefixed), client);
}

#[test]
fn declarations_around_the_children_are_carried_in() {
    let xml = "<message from='u@h' to='r@c' xmlns:q='urn:q&amp;1' xmlns:r='urn:r'><q:a q:b='1' r:b=\"it's\"><c/></q:a>\
               <e xmlns='urn:e' q:at='3'><q:f/></e></message>";
    let stanza = super::read(xml).unwrap();
    assert_eq!(
        super::text(&stanza.payload),
        "<a xmlns='urn:q&amp;1' xmlns:a0='urn:q&amp;1' a0:b='1' xmlns:a1='urn:r' a1:b=\"it's\"><c xmlns='jabber:client'/></a>\
         <e xmlns='urn:e' xmlns:a0='urn:q&amp;1' a0:at='3'><f xmlns='urn:q&amp;1'/></e>"
    );
}

#[test]
fn prefixes_of_the_stream_header_are_carried_in() {
    let scope = Scope::new(
        ns::COMPONENT,
        vec![
            ("stream".into(), ns::STREAM.into()),
            ("db".into(), "urn:db".into()),
        ],
    );
    let xml = Bytes::from("<message from='u@h' to='r@c'><db:x/></message>");
    let stanza = Stanza::read(&xml, &scope, &Limits::default()).unwrap();
    assert_eq!(super::text(&stanza.payload), "<x xmlns='urn:db'/>");
}

#[test]
fn a_default_namespace_around_the_children_is_carried_in() {
    let xml = "<c:message xmlns:c='jabber:client' xmlns='urn:d' from='u@h' to='r@c'><e><f xmlns=''/></e></c:message>";
    assert_eq!(
        super::text(&super::read(xml).unwrap().payload),
        "<e xmlns='urn:d'><f xmlns=''/></e>"
    );
}

/// A namespace written with references is the same namespace: it must not pass as another one.
/// covers: S-22
#[test]
fn s_22_namespaces_are_compared_by_value() {
    let stanza = message("<occupant-id xmlns='urn:xmpp:occupant&#45;id:0' id='x'/>");
    assert!(stanza.payload.has(ns::OCCUPANT_ID, "occupant-id"));
}

#[test]
fn children_are_found_by_namespace_and_name() {
    let payload =
        message("<body>a</body><x xmlns='urn:x'/><body xmlns='urn:x'>b</body><y/>").payload;
    assert!(
        payload.has(ns::CLIENT, "body")
            && payload.has("urn:x", "body")
            && payload.has_namespace("urn:x")
    );
    assert!(!payload.has("urn:x", "y") && !payload.has(ns::COMPONENT, "body"));
    let child = payload.child("urn:x", "body").unwrap();
    assert_eq!(
        (child.name, child.namespace, child.xml),
        ("body", "urn:x", &b"<body xmlns='urn:x'>b</body>"[..])
    );
    assert_eq!(
        payload
            .children()
            .map(|child| child.name)
            .collect::<Vec<_>>(),
        ["body", "x", "body", "y"]
    );
    assert!(Payload::empty().is_empty() && Payload::empty().bytes().is_empty());
}

#[test]
fn text_and_attributes_are_decoded() {
    let payload = message(
        "<body x='a&#10;&lt;\n' xml:lang='de'>a&amp;<b>not</b><![CDATA[<&]]>\r\nz</body><nick/>",
    )
    .payload;
    let body = payload.child(ns::CLIENT, "body").unwrap();
    assert_eq!(body.text(), "a&<&\nz");
    assert_eq!(body.attr("x").unwrap(), "a\n< ");
    assert_eq!((body.lang().as_deref(), body.attr("y")), (Some("de"), None));
    assert_eq!(payload.text("nick").unwrap(), "");
    assert_eq!(payload.text("subject"), None);
}

#[test]
fn left_out_children_leave_the_others_as_they_are() {
    let payload =
        message("<a/><x xmlns='urn:x'>1</x><b xmlns='urn:b' c='2'/><x xmlns='urn:x'/>").payload;
    let rest = payload.without(|child| child.namespace == "urn:x");
    assert_eq!(super::text(&rest), "<a/><b xmlns='urn:b' c='2'/>");
    assert_eq!(rest.child("urn:b", "b").unwrap().attr("c").unwrap(), "2");
    assert_eq!(
        rest,
        Payload::read(rest.bytes().clone(), &Limits::default()).unwrap()
    );
    assert_eq!(
        payload.without(|_| false).bytes().as_ptr(),
        payload.bytes().as_ptr()
    );
    assert_eq!(payload.without(|_| true), Payload::empty());
}

#[test]
fn a_run_is_read_back_as_it_was_given_out() {
    let payload = message(" <body>x</body><q:e xmlns:q='urn:q'/>").payload;
    assert_eq!(
        Payload::read(payload.bytes().clone(), &Limits::default()),
        Ok(payload)
    );
    assert!(Payload::read(Bytes::from("<a></b>"), &Limits::default()).is_err());
    assert!(Payload::read(Bytes::from("<a/></b>"), &Limits::default()).is_err());
    assert!(Payload::read(Bytes::from_static(b"<a>\xff</a>"), &Limits::default()).is_err());
    let run = Payload::read(
        Bytes::from(" <body xmlns='jabber:client'/> "),
        &Limits::default(),
    )
    .unwrap();
    assert_eq!(super::text(&run), "<body/>");
}

#[test]
fn trees_have_namespaces_text_and_attributes() {
    let payload = message("<x xmlns='urn:x' a='1&lt;' xml:lang='de'>t<y/><![CDATA[<u>]]><z xmlns='urn:z'/></x><body>b</body>").payload;
    let tree = payload.child("urn:x", "x").unwrap().to_element().unwrap();
    assert!(tree.is("x", "urn:x"));
    assert_eq!(
        (tree.attr("a"), tree.attr_ns(ns::XML, "lang")),
        (Some("1<"), Some("de"))
    );
    assert_eq!(tree.text(), "t<u>");
    assert!(tree.has_child("y", "urn:x") && tree.has_child("z", "urn:z"));
    let body = payload
        .child(ns::CLIENT, "body")
        .unwrap()
        .to_element()
        .unwrap();
    assert!(body.is("body", ns::COMPONENT));
}

//! The envelope, and what is refused.

use coven_xmpp::stanza::{
    Condition, Echo, ErrorType, Fault, IqType, Kind, MessageType, PresenceType, Reason,
};

use super::{read, reason};

#[test]
fn the_envelope_is_read_and_unknown_attributes_are_dropped() {
    let stanza = read(
        "<message xmlns='jabber:component:accept' to='r@chat.example/n' from='u@h/a&apos;b' type=\"chat\" id='i&#65;' \
         xml:lang='de' evil='1' x:y='2' xmlns:x='urn:x'><body>x</body></message>",
    )
    .unwrap();
    assert_eq!(
        (stanza.kind, stanza.message_type()),
        (Kind::Message, Some(MessageType::Chat))
    );
    assert_eq!(
        (stanza.from.raw(), stanza.to.raw()),
        ("u@h/a'b", "r@chat.example/n")
    );
    assert_eq!(
        (stanza.id.as_deref(), stanza.lang.as_deref()),
        (Some("iA"), Some("de"))
    );
    assert_eq!(super::text(&stanza.payload), "<body>x</body>");
}

#[test]
fn stanzas_of_client_and_component_streams_read_the_same() {
    let component = read("<presence from='u@h/r' to='r@c/n'><show>away</show></presence>").unwrap();
    let client = read(
        "<presence xmlns='jabber:client' from='u@h/r' to='r@c/n'><show>away</show></presence>",
    )
    .unwrap();
    assert_eq!(component, client);
    assert_eq!(component.payload.text("show").unwrap(), "away");
}

#[test]
fn muc_comp_10_unknown_types_of_message_and_presence() {
    let message = read("<message from='u@h' to='r@c' type='bogus'/>").unwrap();
    assert_eq!(message.message_type(), Some(MessageType::Normal));
    assert_eq!((message.presence_type(), message.iq_type()), (None, None));
    let presence = read("<presence from='u@h/r' to='r@c/n' type='bogus'/>").unwrap();
    assert_eq!(presence.presence_type(), Some(PresenceType::Unknown));
    let join = read("<presence from='u@h/r' to='r@c/n'><show>bogus</show></presence>").unwrap();
    assert_eq!(join.presence_type(), Some(PresenceType::Available));
}

#[test]
fn all_known_types_are_known() {
    let message = |type_| read(&format!("<message from='u@h' to='r@c' type='{type_}'/>")).unwrap();
    assert_eq!(
        message("groupchat").message_type(),
        Some(MessageType::Groupchat)
    );
    assert_eq!(
        message("headline").message_type(),
        Some(MessageType::Headline)
    );
    assert_eq!(message("error").message_type(), Some(MessageType::Error));
    assert!(message("error").is_error() && !message("chat").is_error());
    let types = [
        ("unavailable", PresenceType::Unavailable),
        ("error", PresenceType::Error),
        ("probe", PresenceType::Probe),
        ("subscribe", PresenceType::Subscribe),
        ("subscribed", PresenceType::Subscribed),
        ("unsubscribe", PresenceType::Unsubscribe),
        ("unsubscribed", PresenceType::Unsubscribed),
    ];
    for (name, type_) in types {
        let presence = read(&format!("<presence from='u@h' to='r@c' type='{name}'/>")).unwrap();
        assert_eq!(presence.presence_type(), Some(type_));
    }
    let result = read("<iq from='u@h' to='r@c' type='result' id='1'/>").unwrap();
    assert_eq!(result.iq_type(), Some(IqType::Result));
}

#[test]
fn s_07_without_addresses_there_is_nobody_to_answer() {
    for (xml, expected) in [
        ("<message to='r@c'/>", Reason::NoFrom),
        ("<message from='' to='r@c'/>", Reason::NoFrom),
        ("<message from='u@h'/>", Reason::NoTo),
        ("<message from='u@h' to=''/>", Reason::NoTo),
    ] {
        let rejected = read(xml).unwrap_err();
        assert_eq!(rejected.reason, expected, "{xml}");
        assert_eq!(rejected.reply(Echo::Nothing), None);
    }
}

#[test]
fn only_stanzas_are_stanzas() {
    for xml in [
        "<handshake/>",
        "<message xmlns='urn:x' from='u@h' to='r@c'/>",
        "<x:iq xmlns:x='urn:x' from='a' to='b'/>",
    ] {
        let rejected = read(xml).unwrap_err();
        assert_eq!(
            (rejected.reason, rejected.stanza),
            (Reason::NotAStanza, None),
            "{xml}"
        );
    }
}

#[test]
fn muc_comp_06_s_10_iqs_that_break_the_rules_are_answered_once() {
    let long = format!("id='{}'", "i".repeat(10 * 1024));
    for (attributes, children) in [
        ("id='1'", "<query xmlns='urn:q'/>"),
        ("id='1' type='bogus'", "<query xmlns='urn:q'/>"),
        ("id='1' type='get'", ""),
        ("id='1' type='set'", "<a xmlns='urn:q'/><b xmlns='urn:q'/>"),
        ("type='get'", "<query xmlns='urn:q'/>"),
        (&format!("{long} type='get'"), "<query xmlns='urn:q'/>"),
    ] {
        let rejected = read(&format!(
            "<iq from='u@h/r' to='r@c' {attributes}>{children}</iq>"
        ))
        .unwrap_err();
        let error = rejected.error();
        assert_eq!(
            (error.condition, error.type_),
            (Condition::BadRequest, ErrorType::Modify)
        );
        let reply = String::from_utf8(
            rejected
                .reply(Echo::UpTo(1000))
                .unwrap()
                .to_bytes()
                .to_vec(),
        )
        .unwrap();
        assert!(reply.starts_with("<iq from='r@c' type='error'"), "{reply}");
        assert!(
            reply.contains(&format!("{children}<error type='modify'>")),
            "{reply}"
        );
    }
}

/// covers: MUC-COMP-05, S-11 (an answer is never answered)
#[test]
fn muc_comp_05_s_11_bad_answers_are_not_answered() {
    for xml in [
        "<iq from='u@h' to='r@c' type='result'/>",
        "<iq from='u@h' to='r@c' type='error'/>",
    ] {
        let rejected = read(xml).unwrap_err();
        assert_eq!(
            (rejected.reason, rejected.reply(Echo::Nothing)),
            (Reason::BadIq, None)
        );
    }
    assert!(
        read("<iq from='u@h' to='r@c' type='result' id='1'><a xmlns='u'/><b xmlns='u'/></iq>")
            .is_ok()
    );
}

#[test]
fn s_10_an_id_of_ten_kibibytes_is_refused_on_messages_too() {
    let xml = format!(
        "<message from='u@h' to='r@c' id='{}'/>",
        "i".repeat(10 * 1024)
    );
    assert_eq!(reason(&xml), Reason::IdTooLong);
}

#[test]
fn s_01_comments_and_instructions_in_a_stanza_cost_that_stanza() {
    for inner in ["<!-- -->", "<?x ?>", "<body><!-- --></body>"] {
        let rejected =
            read(&format!("<message from='u@h' to='r@c'>{inner}</message>")).unwrap_err();
        assert!(
            matches!(rejected.reason, Reason::Xml(Fault::Restricted(_))),
            "{inner}"
        );
        assert!(rejected.reply(Echo::Nothing).is_some());
    }
}

#[test]
fn s_05_what_is_not_well_formed_is_never_passed_on() {
    for inner in [
        "<body>\u{0}</body>",
        "<body>\u{b}</body>",
        "<body>\u{fffe}</body>",
        "<body>\u{ffff}</body>",
        "<body>&#0;</body>",
        "<body>&#xFFFE;</body>",
        "<body>&#xD800;</body>",
        "<body>&#x110000;</body>",
        "<body>&#+65;</body>",
        "<body>&#;</body>",
        "<body>&lol;</body>",
        "<body>&amp</body>",
        "<body>a & b</body>",
        "<body>]]></body>",
        "<body x='<'/>",
        "<body x=y/>",
        "<body x/>",
        "<body x='1'y='2'/>",
        "<body x='1' x='2'/>",
        "<body></subject>",
        "<body><a></body></a>",
        "<body",
        "<1/>",
        "<a:b:c xmlns:a='urn:a'/>",
        "<:a/>",
        "<a:/>",
        "<a b:='1'/>",
        "<a xmlns='urn:a' xmlns='urn:b'/>",
        "<a xmlns:p='urn:a' xmlns:p='urn:b'/>",
        "<a xmlns:p=''/>",
        "<a xmlns:xmlns='urn:a'/>",
        "<a xmlns:xml='urn:a'/>",
        "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<xmlns:a/>",
        "<p:a/>",
        "<a xmlns:p='urn:a' xmlns:q='urn:a' p:x='1' q:x='2'/>",
        "\u{d7}<a\u{d7}/>",
    ] {
        let rejected =
            read(&format!("<message from='u@h' to='r@c'>{inner}</message>")).expect_err(inner);
        assert!(matches!(rejected.reason, Reason::Xml(_)), "{inner}");
        assert_eq!(rejected.error().condition, Condition::BadRequest);
        assert!(rejected.reply(Echo::Nothing).is_some(), "{inner}");
    }
}

#[test]
fn s_05_bytes_that_are_not_utf_8_are_never_passed_on() {
    for bad in [
        &b"\xff"[..],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
    ] {
        let xml = [
            b"<message from='u@h' to='r@c'><body>",
            bad,
            b"</body></message>",
        ]
        .concat();
        let read =
            coven_xmpp::stanza::Stanza::read(&xml.into(), &Default::default(), &Default::default());
        let rejected = read.unwrap_err();
        assert_eq!(rejected.reason, Reason::Xml(Fault::Characters));
        assert!(rejected.reply(Echo::Nothing).is_some());
    }
}

/// A type that cannot be seen may be `error`, which must not be answered.
/// covers: MUC-ERR-04
#[test]
fn muc_err_04_a_start_tag_that_cannot_be_read_is_not_answered() {
    let rejected = read("<message from='u@h' to='r@c' a='<' type='error'/>").unwrap_err();
    assert_eq!(
        (rejected.stanza.clone(), rejected.reply(Echo::Nothing)),
        (None, None)
    );
    let rejected = read("<message from='u@h' to='r@c' type='error'><a:b/></message>").unwrap_err();
    assert!(rejected.stanza.is_some());
    assert_eq!(rejected.reply(Echo::Nothing), None);
}

/// What ejabberd sends on for `<message xmlns:q='urn:q'><e xmlns='urn:e' q:at='3'/></message>`.
/// covers: S-05, I10
#[test]
fn s_05_an_undeclared_prefix_costs_that_stanza_and_is_answered() {
    let rejected = read(
        "<message from='u@h/r' to='r@c' type='groupchat' id='9'><e xmlns='urn:e' q:at='3'/></message>",
    );
    let rejected = rejected.unwrap_err();
    assert_eq!(rejected.reason, Reason::Xml(Fault::Prefix));
    let reply = rejected.reply(Echo::UpTo(1000)).unwrap().to_bytes();
    assert!(reply.starts_with(
        b"<message from='r@c' type='error' id='9' to='u@h/r'><error type='modify'><bad-request "
    ));
}

#[test]
fn s_09_many_bodies_and_subjects_stay_in_order() {
    let children: String = (0..500)
        .map(|n| format!("<body xml:lang='l{n}'>b{n}</body>"))
        .collect();
    let stanza = super::message(&children);
    assert_eq!(super::text(&stanza.payload), children);
    let languages: Vec<_> = stanza
        .payload
        .children()
        .filter_map(|body| body.lang())
        .collect();
    assert_eq!((languages.len(), languages[499].as_ref()), (500, "l499"));
    assert_eq!(stanza.payload.text("body").unwrap(), "b0");
    let two =
        super::message("<subject>a</subject><body>x</body><subject>b</subject><body>y</body>");
    let subjects: Vec<_> = two
        .payload
        .all("jabber:client", "subject")
        .map(|child| child.text())
        .collect();
    assert_eq!(subjects, ["a", "b"]);
}

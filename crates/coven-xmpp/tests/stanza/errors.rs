//! Stanza errors and replies.

use coven_xmpp::ns;
use coven_xmpp::stanza::{
    Builder, Condition, Echo, ErrorType, Outgoing, StanzaError, error_reply, result_reply,
};
use proptest::prelude::*;

use super::read;

fn shown(reply: Option<Outgoing>) -> String {
    String::from_utf8(reply.unwrap().to_bytes().to_vec()).unwrap()
}

const BAD: &str = "<bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";

/// covers: MUC-ERR-01, MUC-ERR-03
#[test]
fn muc_err_01_muc_err_03_a_message_comes_back_with_its_payload() {
    let stanza = read(
        "<message from='u@h/r' to='room@c/\u{1f916}' type='groupchat' id='7' xml:lang='de'><body>x</body><y xmlns='urn:y'/></message>",
    );
    let reply = error_reply(
        &stanza.unwrap(),
        &Condition::BadRequest.into(),
        Echo::UpTo(1000),
    );
    let expected = format!(
        "<message from='room@c/\u{1f916}' type='error' id='7' to='u@h/r'><body>x</body><y xmlns='urn:y'/>\
         <error type='modify'>{BAD}</error></message>"
    );
    assert_eq!(shown(reply), expected);
}

#[test]
fn muc_err_01_there_is_one_error_in_a_reply() {
    let stanza =
        read("<message from='u@h/r' to='r@c'><body>x</body><error type='wait'/></message>")
            .unwrap();
    let reply = error_reply(&stanza, &Condition::BadRequest.into(), Echo::UpTo(1000));
    let expected = format!(
        "<message from='r@c' type='error' to='u@h/r'><body>x</body><error type='modify'>{BAD}</error></message>"
    );
    assert_eq!(shown(reply), expected);
}

#[test]
fn muc_err_03_an_echo_can_be_too_large_or_unwanted() {
    let stanza =
        read("<iq from='u@h/r' to='r@c' type='get' id='7'><q xmlns='urn:q'>0123456789</q></iq>")
            .unwrap();
    let expected = format!(
        "<iq from='r@c' type='error' id='7' to='u@h/r'><error type='modify'>{BAD}</error></iq>"
    );
    for echo in [Echo::Nothing, Echo::UpTo(20)] {
        assert_eq!(
            shown(error_reply(&stanza, &Condition::BadRequest.into(), echo)),
            expected
        );
    }
}

#[test]
fn muc_err_03_presence_comes_back_with_an_empty_x() {
    let stanza = read(
        "<presence from='u@h/r' to='room@c/n' id='1'><show>away</show><x xmlns='http://jabber.org/protocol/muc'>\
         <history maxstanzas='20'/><password>secret</password></x></presence>",
    );
    let error = StanzaError::from(Condition::NotAuthorized).with_by("room@c");
    assert_eq!(
        shown(error_reply(&stanza.unwrap(), &error, Echo::UpTo(1000))),
        "<presence from='room@c/n' type='error' id='1' to='u@h/r'><x xmlns='http://jabber.org/protocol/muc'/>\
         <error type='auth' by='room@c'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
    );
    let to_channel =
        read("<presence from='u@h/r' to='room@c'><show>away</show></presence>").unwrap();
    let reply = shown(error_reply(
        &to_channel,
        &Condition::BadRequest.into(),
        Echo::UpTo(1000),
    ));
    assert!(!reply.contains("<x ") && !reply.contains("away"), "{reply}");
}

#[test]
fn muc_err_03_passwords_and_secrets_are_not_echoed() {
    for child in [
        "<query xmlns='jabber:iq:register'><username>u</username><password>hidden</password></query>",
        "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>\
         <field var='muc#roomconfig_roomsecret'><value>hidden</value></field></x></query>",
        "<x xmlns='jabber:x:conference' jid='r@c' password='hidden'/>",
    ] {
        let stanza = read(&format!(
            "<iq from='u@h/r' to='r@c' type='set' id='1'>{child}</iq>"
        ))
        .unwrap();
        let reply = shown(error_reply(
            &stanza,
            &Condition::Forbidden.into(),
            Echo::UpTo(10_000),
        ));
        assert!(
            !reply.contains("hidden") && reply.contains("<forbidden "),
            "{reply}"
        );
    }
    let body = read("<message from='u@h/r' to='r@c'><body>my password</body></message>").unwrap();
    assert!(
        shown(error_reply(
            &body,
            &Condition::Forbidden.into(),
            Echo::UpTo(1000)
        ))
        .contains("my password")
    );
}

/// covers: MUC-ERR-04, MUC-COMP-05
#[test]
fn muc_err_04_muc_comp_05_errors_and_results_are_never_answered() {
    for xml in [
        "<message from='u@h' to='r@c' type='error'/>",
        "<presence from='u@h' to='r@c' type='error'/>",
        "<iq from='u@h' to='r@c' type='error' id='1'/>",
        "<iq from='u@h' to='r@c' type='result' id='1'/>",
    ] {
        let stanza = read(xml).unwrap();
        assert_eq!(
            error_reply(&stanza, &Condition::BadRequest.into(), Echo::Nothing),
            None,
            "{xml}"
        );
        assert_eq!(result_reply(&stanza, b""), None, "{xml}");
    }
}

#[test]
fn muc_comp_05_a_result_goes_back_to_who_asked() {
    let asked =
        read("<iq from='u@h/r' to='r@c' type='get' id='a&apos;b'><q xmlns='urn:q'/></iq>").unwrap();
    assert_eq!(
        shown(result_reply(&asked, b"")),
        "<iq from='r@c' type='result' id='a&apos;b' to='u@h/r'/>"
    );
    let with_payload = shown(result_reply(&asked, b"<q xmlns='urn:q'/>"));
    assert_eq!(
        with_payload,
        "<iq from='r@c' type='result' id='a&apos;b' to='u@h/r'><q xmlns='urn:q'/></iq>"
    );
    assert_eq!(
        result_reply(&read("<message from='u@h' to='r@c'/>").unwrap(), b""),
        None
    );
}

/// covers: MUC-ERR-05
#[test]
fn muc_err_05_types_where_no_rule_says_otherwise() {
    use Condition::{
        BadRequest, Conflict, FeatureNotImplemented, Forbidden, InternalServerError, ItemNotFound,
        JidMalformed, NotAcceptable, NotAllowed, NotAuthorized, PolicyViolation,
        RegistrationRequired, RemoteServerTimeout, ResourceConstraint, ServiceUnavailable,
    };
    let expected = [
        (
            ErrorType::Modify,
            &[BadRequest, JidMalformed, NotAcceptable, PolicyViolation][..],
        ),
        (
            ErrorType::Auth,
            &[Forbidden, NotAuthorized, RegistrationRequired],
        ),
        (
            ErrorType::Cancel,
            &[
                Conflict,
                ItemNotFound,
                NotAllowed,
                ServiceUnavailable,
                FeatureNotImplemented,
                InternalServerError,
            ],
        ),
        (ErrorType::Wait, &[ResourceConstraint, RemoteServerTimeout]),
    ];
    for (type_, conditions) in expected {
        for condition in conditions {
            assert_eq!(condition.usual_type(), type_, "{condition:?}");
        }
    }
}

#[test]
fn muc_err_01_what_is_written_is_read_back() {
    for condition in Condition::ALL {
        let mut detail = Builder::new();
        detail.empty("invalid-sort-key", ns::CHANNEL_SEARCH_ERROR);
        let error = StanzaError::new(ErrorType::Wait, condition)
            .with_by("room@c")
            .with_text("a < b")
            .with_alternate("xmpp:new@c")
            .with_detail(detail.finish());
        let mut xml = Builder::new();
        error.write(&mut xml);
        let xml = String::from_utf8(xml.finish().to_vec()).unwrap();
        let stanza = read(&format!(
            "<message from='a@b' to='c@d' type='error'>{xml}</message>"
        ))
        .unwrap();
        let read = StanzaError::read(&stanza.payload).unwrap();
        assert!(read.detail.is_some());
        assert_eq!(
            StanzaError {
                detail: error.detail.clone(),
                ..read
            },
            error
        );
    }
}

#[test]
fn bounces_are_read_as_far_as_they_say_something() {
    let bounce = |error: &str| {
        let stanza = read(&format!(
            "<message from='a@b' to='c@d' type='error'><body>x</body>{error}</message>"
        ))
        .unwrap();
        StanzaError::read(&stanza.payload)
    };
    assert_eq!(bounce(""), None);
    assert_eq!(
        bounce("<error/>").unwrap().condition,
        Condition::UndefinedCondition
    );
    let unknown =
        bounce("<error type='bogus'><bogus xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
            .unwrap();
    assert_eq!(
        (unknown.condition, unknown.type_),
        (Condition::UndefinedCondition, ErrorType::Cancel)
    );
    let timeout = bounce(
        "<error><remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    )
    .unwrap();
    assert_eq!(
        (timeout.condition, timeout.type_),
        (Condition::RemoteServerTimeout, ErrorType::Wait)
    );
}

proptest! {
    /// Whatever a client writes into id, addresses and text: the reply is one stanza that says the same.
    /// covers: S-06
    #[test]
    fn s_06_what_is_echoed_cannot_leave_its_place(id in "[ -~é\n\t<>&'\"\\]]{1,30}", resource in "[ -~<>&'\"]{1,30}", said in "\\PC{0,30}") {
        let escaped = |value: &str| {
            let mut out = Vec::new();
            coven_xmpp::stanza::escape_attribute(&mut out, value);
            String::from_utf8(out).unwrap()
        };
        let xml = format!("<iq from='u@h/{}' to='r@c' type='get' id='{}'><q xmlns='urn:q'/></iq>", escaped(&resource), escaped(&id));
        let asked = read(&xml).unwrap();
        let error = StanzaError::from(Condition::BadRequest).with_text(said.as_str());
        let reply = shown(error_reply(&asked, &error, Echo::UpTo(1000)));
        let back = read(&reply).unwrap();
        prop_assert_eq!(back.id.as_deref(), Some(id.as_str()));
        prop_assert_eq!(back.to.resource(), Some(resource.as_str()));
        let read = StanzaError::read(&back.payload).unwrap();
        prop_assert_eq!(read.text.as_deref().unwrap_or_default(), said.as_str());
    }
}

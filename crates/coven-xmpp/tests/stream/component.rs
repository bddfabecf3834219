//! The order of things on a stream, as servers really speak.

use coven_xmpp::stream::{Broken, Component, Event, FrameError, Limits, StreamCondition};

const HEADER: &str = "<?xml version='1.0'?><stream:stream id='3BF96D32' xmlns:stream='http://etherx.jabber.org/streams' \
                      xmlns='jabber:component:accept' from='chat.example'>";

struct Stream {
    component: Component,
    out: Vec<u8>,
    events: Vec<Event>,
}

impl Stream {
    fn open() -> Self {
        let mut out = Vec::new();
        let component = Component::open("chat.example", "test", Limits::default(), &mut out);
        Self {
            component,
            out,
            events: Vec::new(),
        }
    }

    fn ready() -> Self {
        let mut stream = Self::open();
        stream.receives(HEADER);
        stream.receives("<handshake/>");
        stream.events.clear();
        stream.out.clear();
        stream
    }

    fn receives(&mut self, xml: &str) {
        self.component
            .handle_bytes(xml.as_bytes(), &mut self.events, &mut self.out);
    }

    fn sent(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.out)).unwrap()
    }

    fn stanzas(&self) -> Vec<&str> {
        let mut stanzas = Vec::new();
        for event in &self.events {
            if let Event::Stanza(stanza) = event {
                stanzas.push(std::str::from_utf8(stanza.bytes()).unwrap());
            }
        }
        stanzas
    }
}

/// The vector is SHA-1 of `3BF96D32` and `test`.
#[test]
fn muc_comp_01_handshake_is_lower_case_sha1_of_id_and_secret() {
    let mut stream = Stream::open();
    assert_eq!(
        stream.sent(),
        "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
         xmlns:stream='http://etherx.jabber.org/streams' to='chat.example'>"
    );
    stream.receives(HEADER);
    assert_eq!(
        stream.sent(),
        "<handshake>aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e</handshake>"
    );
    assert_eq!(
        stream.events,
        [Event::Opened {
            stream_id: "3BF96D32".into()
        }]
    );
    assert!(!stream.component.is_ready());
    stream.receives("<handshake/>");
    assert_eq!(stream.events[1], Event::Ready);
    assert!(stream.component.is_ready());
    assert_eq!(stream.sent(), "");
}

#[test]
fn muc_comp_01_a_stanza_before_the_handshake_breaks_the_stream() {
    let mut stream = Stream::open();
    stream.receives(HEADER);
    stream.receives("<message from='a@b' to='c@chat.example'/>");
    assert_eq!(stream.events[1], Event::Broken(Broken::BeforeHandshake));
}

#[test]
fn muc_comp_01_the_secret_is_never_printed() {
    let stream = Stream::open();
    assert!(!format!("{:?}", stream.component).contains("test"));
}

#[test]
fn stream_errors_are_told_apart_and_end_the_stream() {
    let cases = [
        ("not-authorized", StreamCondition::NotAuthorized),
        ("conflict", StreamCondition::Conflict),
        ("host-unknown", StreamCondition::HostUnknown),
        ("invalid-namespace", StreamCondition::InvalidNamespace),
        (
            "system-shutdown",
            StreamCondition::Other("system-shutdown".into()),
        ),
    ];
    for (name, condition) in cases {
        let mut stream = Stream::ready();
        stream.receives(&format!(
            "<stream:error><{name} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>go &lt;away&gt;</text></stream:error>\
             </stream:stream>"
        ));
        let [Event::Broken(Broken::Refused(error))] = stream.events.as_slice() else {
            panic!("{:?}", stream.events)
        };
        assert_eq!(
            (&error.condition, error.text.as_str()),
            (&condition, "go <away>")
        );
        assert_eq!(stream.sent(), "</stream:stream>");
    }
}

#[test]
fn an_error_without_a_condition_keeps_its_text() {
    let mut stream = Stream::open();
    stream.receives(HEADER);
    stream.receives("<stream:error>Invalid Handshake</stream:error>");
    let Event::Broken(Broken::Refused(error)) = &stream.events[1] else {
        panic!("{:?}", stream.events)
    };
    assert_eq!(error.condition, StreamCondition::Other("".into()));
    assert_eq!(error.text, "Invalid Handshake");
}

/// A server that does not know the host may give no id, so that there is nothing to make a handshake from.
#[test]
fn an_error_right_after_a_header_without_id() {
    let mut stream = Stream::open();
    stream.sent();
    stream.receives(&HEADER.replace("id='3BF96D32'", ""));
    assert_eq!((stream.events.len(), stream.sent()), (0, String::new()));
    stream.receives(
        "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    );
    let [Event::Broken(Broken::Refused(error))] = stream.events.as_slice() else {
        panic!("{:?}", stream.events)
    };
    assert_eq!(error.condition, StreamCondition::HostUnknown);
}

#[test]
fn a_port_for_clients_is_no_component_stream() {
    for header in [
        HEADER.replace("jabber:component:accept", "jabber:client"),
        HEADER.replace("http://etherx.jabber.org/streams", "urn:other"),
        "<html>".into(),
    ] {
        let mut stream = Stream::open();
        stream.receives(&header);
        assert_eq!(
            stream.events,
            [Event::Broken(Broken::NotAComponentStream)],
            "{header}"
        );
    }
}

#[test]
fn stanzas_come_out_one_by_one_whatever_the_chunks() {
    let mut stream = Stream::ready();
    let xml = " <message from='a@b' to='c@d'><body>1</body></message><iq/>\n<stream:features/><presence/>";
    for byte in xml.as_bytes().chunks(3) {
        stream
            .component
            .handle_bytes(byte, &mut stream.events, &mut stream.out);
    }
    assert_eq!(
        stream.stanzas(),
        [
            "<message from='a@b' to='c@d'><body>1</body></message>",
            "<iq/>",
            "<presence/>"
        ]
    );
    assert_eq!(stream.sent(), "");
}

#[test]
fn s_01_restricted_xml_is_said_and_ends_the_stream() {
    let mut stream = Stream::ready();
    stream.receives("<iq/><!DOCTYPE lolz [<!ENTITY lol 'lol'>]><iq/>");
    assert_eq!(
        stream.events[1..],
        [Event::Broken(Broken::Framing(FrameError::RestrictedXml))]
    );
    assert_eq!(
        stream.sent(),
        "<stream:error><restricted-xml xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    );
    stream.receives("<iq/>");
    assert_eq!(stream.events.len(), 2);
}

#[test]
fn the_end_is_answered_once() {
    let mut stream = Stream::ready();
    stream.receives("</stream:stream>");
    stream.component.close(&mut stream.out);
    assert_eq!(stream.events, [Event::Closed]);
    assert_eq!(stream.sent(), "</stream:stream>");
}

#[test]
fn what_comes_after_our_end_is_still_given_out() {
    let mut stream = Stream::ready();
    stream.component.close(&mut stream.out);
    assert!(!stream.component.is_ready());
    stream.receives("<iq/></stream:stream>");
    assert_eq!(stream.stanzas(), ["<iq/>"]);
    assert_eq!(stream.events[1], Event::Closed);
    assert_eq!(stream.sent(), "</stream:stream>");
}

/// covers: S-03, MUC-ERR-06 (the answer; size is the stream's own)
#[test]
fn s_03_a_stanza_over_the_limit_is_answered() {
    let mut stream = Stream::ready();
    let large = "x".repeat(300_000);
    stream.receives(&format!(
        "<message from='a@b/c' to='r@chat.example' id='7'><body>{large}</body></message><iq/>"
    ));
    let [Event::Stanza(first), Event::Stanza(_)] = stream.events.as_slice() else {
        panic!("{:?}", stream.events)
    };
    let rejected = first.read(&Limits::default()).unwrap_err();
    let reply = rejected
        .reply(coven_xmpp::stanza::Echo::UpTo(1000))
        .unwrap()
        .to_bytes();
    assert_eq!(
        reply,
        "<message from='r@chat.example' type='error' id='7' to='a@b/c'><error type='modify'>\
         <policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>stanza too large</text></error></message>"
    );
}

//! Stanzas that are well-formed and too much.

use std::time::Duration;

use bytes::Bytes;
use coven_xmpp::stanza::{Condition, Echo, ErrorType, Fault, Payload, Reason, Scope, Stanza};
use coven_xmpp::stream::{Excess, Limits};

fn large() -> Limits {
    Limits {
        stanza_bytes: 100_000_000,
        ..Limits::default()
    }
}

/// Reads `children` in a message and expects an answered refusal within 50 ms of processor time (S-02).
fn refused(children: &str) -> Excess {
    let xml =
        format!("<message from='u@h/r' to='r@c' type='groupchat' id='1'>{children}</message>");
    let xml = Bytes::from(xml);
    let started = processor_time();
    let rejected = Stanza::read(&xml, &Scope::default(), &large()).unwrap_err();
    let took = processor_time() - started;
    assert!(
        took < Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 50 }),
        "{took:?}"
    );
    let error = rejected.error();
    assert_eq!(
        (error.condition, error.type_),
        (Condition::PolicyViolation, ErrorType::Modify)
    );
    assert!(rejected.reply(Echo::Nothing).is_some());
    match rejected.reason {
        Reason::Xml(Fault::Excess(excess)) => excess,
        other => panic!("{other:?}"),
    }
}

fn many(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}

#[test]
fn s_02_eighty_thousand_attributes() {
    let attributes = many(80_000, |n| format!(" a{n}='1'"));
    assert_eq!(
        refused(&format!("<x xmlns='urn:x'{attributes}/>")),
        Excess::Attributes
    );
    let on_stanza = format!(
        "<message from='u@h' to='r@c'{attributes} type='chat' id='5'><body>x</body></message>"
    );
    let rejected = Stanza::read(&Bytes::from(on_stanza), &Scope::default(), &large()).unwrap_err();
    assert_eq!(
        rejected.reason,
        Reason::Xml(Fault::Excess(Excess::Attributes))
    );
    assert_eq!(rejected.stanza.unwrap().id.as_deref(), Some("5"));
}

#[test]
fn s_04_fifty_thousand_declarations() {
    let declarations = many(50_000, |n| format!(" xmlns:a{n}='urn:{n}'"));
    assert_eq!(
        refused(&format!("<x xmlns='urn:x'{declarations}/>")),
        Excess::Namespaces
    );
    let nested = many(60, |n| {
        format!("<x{}>", many(15, |m| format!(" xmlns:p{n}x{m}='urn:x'")))
    });
    assert_eq!(refused(&nested), Excess::Namespaces);
}

#[test]
fn s_04_depth_of_a_hundred_thousand() {
    assert_eq!(
        refused(&format!(
            "{}{}",
            "<a>".repeat(100_000),
            "</a>".repeat(100_000)
        )),
        Excess::Depth
    );
}

/// Trees are recursive, in building and in dropping: the deepest that passes must be safe on a small stack.
#[test]
fn s_04_the_deepest_tree_is_built_and_dropped() {
    let depth = Limits::default().depth - 1;
    let xml = format!(
        "{}{}",
        "<a xmlns='urn:a'>".repeat(depth),
        "</a>".repeat(depth)
    );
    let payload = super::message(&xml).payload;
    let build = move || {
        payload
            .children()
            .next()
            .unwrap()
            .to_element()
            .unwrap()
            .children()
            .count()
    };
    let thread = std::thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(build)
        .unwrap();
    assert_eq!(thread.join().unwrap(), 1);
    assert_eq!(
        refused(&format!(
            "{}{}",
            "<a>".repeat(depth + 1),
            "</a>".repeat(depth + 1)
        )),
        Excess::Depth
    );
}

#[test]
fn too_many_children() {
    assert_eq!(refused(&"<a/>".repeat(10_000)), Excess::Children);
    assert_eq!(
        refused(&format!("<x xmlns='urn:x'>{}</x>", "<a/>".repeat(10_000))),
        Excess::Children
    );
    assert_eq!(
        super::message(&"<a/>".repeat(512))
            .payload
            .children()
            .count(),
        512
    );
}

/// Both servers pass on attributes of this size.
/// covers: S-02, I10
#[test]
fn s_02_an_attribute_of_three_hundred_kilobytes_costs_that_stanza() {
    let value = "v".repeat(300_000);
    assert_eq!(
        refused(&format!("<x xmlns='urn:x' a='{value}'/>")),
        Excess::AttributeBytes
    );
    let on_stanza =
        format!("<message from='u@h' to='r@c' id='1' a='{value}'><body>x</body></message>");
    let rejected = Stanza::read(&Bytes::from(on_stanza), &Scope::default(), &large()).unwrap_err();
    assert!(rejected.reply(Echo::Nothing).is_some());
    let fits = "v".repeat(Limits::default().attribute_bytes);
    let payload = super::message(&format!("<x xmlns='urn:x' a='{fits}'/>")).payload;
    let element = payload.children().next().unwrap().to_element().unwrap();
    assert_eq!(element.attr("a"), Some(fits.as_str()));
}

#[test]
fn a_stanza_over_the_limit_is_not_read() {
    let xml = Bytes::from(format!(
        "<message from='u@h' to='r@c'><body>{}</body></message>",
        "x".repeat(300_000)
    ));
    let rejected = Stanza::read(&xml, &Scope::default(), &Limits::default()).unwrap_err();
    assert_eq!(
        rejected.reason,
        Reason::Xml(Fault::Excess(Excess::StanzaBytes))
    );
}

/// Moving declarations to where they are used must not turn a small stanza into a large one.
/// covers: I9
#[test]
fn rewriting_does_not_multiply() {
    let uri = format!("urn:{}", "u".repeat(1000));
    let elements = "<q:e/>".repeat(500);
    let xml = format!("<message from='u@h' to='r@c' xmlns:q='{uri}'>{elements}</message>");
    let rejected =
        Stanza::read(&Bytes::from(xml), &Scope::default(), &Limits::default()).unwrap_err();
    assert_eq!(
        rejected.reason,
        Reason::Xml(Fault::Excess(Excess::StanzaBytes))
    );
    assert_eq!(
        refused(&format!("<e xmlns='urn:{}'/>", "u".repeat(2000))),
        Excess::AttributeBytes
    );
}

/// A namespace that has to be decoded is copied per element: still within bounds of time.
#[test]
fn escaped_namespaces_take_no_quadratic_time() {
    let uri = "&amp;".repeat(200);
    let elements = format!("<a>{}</a>", "<b/>".repeat(500)).repeat(100);
    let xml = Bytes::from(format!("<x xmlns='{uri}'>{elements}</x>"));
    let started = processor_time();
    assert!(Payload::read(xml, &large()).is_ok());
    let took = processor_time() - started;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// What this thread has had of a processor: others that are busy do not count. Where the system does not tell, no time passes.
fn processor_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

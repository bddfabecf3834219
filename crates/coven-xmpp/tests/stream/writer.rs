//! Output: chunks, and what is refused.

use coven_xmpp::stanza::{Head, Kind, Outgoing, Template};
use coven_xmpp::stream::{CHUNK_BYTES, Refused, Writer};

fn template(from: &str, payload: &str) -> Template {
    Template::new(
        &Head::new(Kind::Message, from).with_type("groupchat"),
        payload.as_bytes(),
    )
}

#[test]
fn one_template_goes_to_many() {
    let mut writer = Writer::new("chat.example", 1000);
    let template = template("r@chat.example/n", "<body>x</body>");
    writer.push(&template, "a@b/c").unwrap();
    writer.push(&template, "d@e/<'f'>").unwrap();
    let expected = "<message from='r@chat.example/n' type='groupchat' to='a@b/c'><body>x</body></message>\
                    <message from='r@chat.example/n' type='groupchat' to='d@e/&lt;&apos;f&apos;&gt;'><body>x</body></message>";
    assert_eq!(writer.pending(), expected.len());
    assert_eq!(writer.take().unwrap().packed, expected);
    assert_eq!(writer.take(), None);
}

#[test]
fn chunks_end_where_stanzas_end() {
    let mut writer = Writer::new("chat.example", 300_000);
    let template = template(
        "r@chat.example",
        &format!("<body>{}</body>", "x".repeat(1000)),
    );
    let stanza = Outgoing {
        to: "a@b".into(),
        template,
    }
    .to_bytes();
    for _ in 0..200 {
        let again = self::template(
            "r@chat.example",
            &format!("<body>{}</body>", "x".repeat(1000)),
        );
        writer.push(&again, "a@b").unwrap();
    }
    let mut total = 0;
    while let Some(chunk) = writer.take_full() {
        assert!(chunk.shared.is_empty());
        assert!(chunk.len() <= CHUNK_BYTES && chunk.len() > CHUNK_BYTES - 2 * stanza.len());
        assert_eq!(chunk.len() % stanza.len(), 0);
        total += chunk.len();
    }
    total += writer.take().unwrap().len();
    assert_eq!((total, writer.pending()), (200 * stanza.len(), 0));
}

#[test]
fn a_stanza_larger_than_a_chunk_is_one() {
    let mut writer = Writer::new("chat.example", 300_000);
    let large = template(
        "r@chat.example",
        &format!("<body>{}</body>", "x".repeat(200_000)),
    );
    writer.push_raw(b" ");
    writer.push(&large, "a@b").unwrap();
    writer.push(&template("r@chat.example", ""), "a@b").unwrap();
    let chunk = writer.take().unwrap();
    assert!(chunk.packed.starts_with(b" <message ") && chunk.len() > 200_000);
    assert!(writer.take().unwrap().packed.starts_with(b"<message "));
}

/// covers: S-52
#[test]
fn copies_of_a_large_stanza_share_its_bytes() {
    let mut writer = Writer::new("chat.example", 300_000);
    let body = "x".repeat(200_000);
    let large = template("r@chat.example", &format!("<body>{body}</body>"));
    writer.push(&template("r@chat.example", ""), "a@b").unwrap();
    for to in ["a@b", "c@d"] {
        writer.push(&large, to).unwrap();
    }
    let (first, second) = (writer.take().unwrap(), writer.take().unwrap());
    assert_eq!(first.shared.as_ptr(), second.shared.as_ptr());
    let small = "<message from='r@chat.example' type='groupchat' to='a@b'/>";
    let start = "<message from='r@chat.example' type='groupchat' to='a@b";
    assert_eq!(first.packed, format!("{small}{start}"));
    assert_eq!(first.shared, format!("'><body>{body}</body></message>"));
    assert_eq!(
        second.packed,
        "<message from='r@chat.example' type='groupchat' to='c@d"
    );
    assert_eq!(writer.pending(), 0);
}

/// covers: I9
#[test]
fn a_stanza_over_the_upstreams_limit_is_refused_and_leaves_nothing() {
    let mut writer = Writer::new("chat.example", 120);
    let small = template("r@chat.example", "");
    writer.push(&small, "a@b").unwrap();
    let before = writer.pending();
    let refused = writer.push(
        &template(
            "r@chat.example",
            &format!("<body>{}</body>", "x".repeat(100)),
        ),
        "a@b",
    );
    assert!(matches!(refused, Err(Refused::TooLarge { max: 120, bytes }) if bytes > 120));
    assert!(matches!(
        writer.push(&small, &"'".repeat(20)),
        Err(Refused::TooLarge { .. })
    ));
    assert_eq!(writer.pending(), before);
}

#[test]
fn muc_comp_03_a_foreign_from_never_leaves() {
    let mut writer = Writer::new("chat.example", 1000);
    let refused = writer.push(&template("r@other.example/n", ""), "a@b");
    assert!(matches!(refused, Err(Refused::ForeignFrom { .. })));
    let service = Outgoing::new(&Head::new(Kind::Iq, "chat.example"), "a@b", b"");
    assert_eq!(writer.push_outgoing(&service), Ok(()));
    assert_eq!(
        writer.clear(),
        writer.pending() + "<iq from='chat.example' to='a@b'/>".len()
    );
}

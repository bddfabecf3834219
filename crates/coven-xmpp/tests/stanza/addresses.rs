//! Addresses: raw for answering, prepared for comparing.

use coven_xmpp::stanza::{Address, Malformed};

fn bare(raw: &str) -> Result<String, Malformed> {
    Address::new(raw).bare_jid().map(|bare| bare.to_string())
}

#[test]
fn parts_are_cut_as_rfc_7622_says() {
    let address = Address::new("room@chat.example/a@b/c");
    assert_eq!(
        (address.local(), address.domain()),
        (Some("room"), "chat.example")
    );
    assert_eq!(
        (address.resource(), address.bare()),
        (Some("a@b/c"), "room@chat.example")
    );
    let service = Address::new("chat.example/x@y");
    assert_eq!(
        (service.local(), service.domain(), service.resource()),
        (None, "chat.example", Some("x@y"))
    );
}

#[test]
fn s_08_two_spellings_are_one_address() {
    for raw in [
        "Room@Chat.Example",
        "ROOM@chat.example.",
        "room@CHAT.EXAMPLE/nick",
        "\u{ff52}oom@chat.example",
    ] {
        assert_eq!(bare(raw).unwrap(), "room@chat.example", "{raw}");
    }
    assert_eq!(bare("stra\u{df}e@h").unwrap(), bare("STRASSE@h").unwrap());
    assert_eq!(
        bare("a@b\u{fc}cher.example").unwrap(),
        bare("a@B\u{dc}CHER.example").unwrap()
    );
    assert_eq!(
        Address::new("ROOM@h").normal_local().unwrap().as_deref(),
        Some("room")
    );
    assert_eq!(Address::new("ROOM@H.").normal_domain().unwrap(), "h");
    assert_eq!(Address::new("H").normal_local(), Ok(None));
}

#[test]
fn s_08_what_breaks_the_rules_is_malformed() {
    let long = "x".repeat(1024);
    for raw in [
        "",
        "@h",
        "/r",
        "a@",
        "a b@h",
        "a\"b@h",
        "a&b@h",
        "a'b@h",
        "a:b@h",
        "a<b@h",
        "\u{e000}@h",
        "a\u{200b}\u{2028}@h",
        &format!("{long}@h"),
        &format!("a@{long}"),
    ] {
        assert_eq!(bare(raw), Err(Malformed), "{raw}");
    }
}

#[test]
fn s_08_literal_addresses_are_taken_or_refused_but_never_panic() {
    for raw in [
        "a@[::1]",
        "a@127.0.0.1",
        "a@[",
        "a@..",
        "a@.",
        "a@-",
        "a@xn--",
        "a@xn--a",
        "a@h:5222",
    ] {
        let _ = bare(raw);
    }
    assert_eq!(bare("a@127.0.0.1").unwrap(), "a@127.0.0.1");
}

/// A server hands these over, and answers go back to them; only the bare part has to be prepared.
#[test]
fn a_resource_that_cannot_be_prepared_is_kept() {
    let address = Address::new("room@chat.example/\u{1f916}");
    assert_eq!(address.resource(), Some("\u{1f916}"));
    assert_eq!(address.bare_jid().unwrap().to_string(), "room@chat.example");
}

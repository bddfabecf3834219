//! What only the service may say.

use coven_xmpp::stanza::Address;
use coven_xmpp::stanza::strip::{Ours, SERVICE_ADDED, strip};

use super::message;

fn ours() -> Ours {
    let addresses = [
        "room@chat.example",
        "chat.example",
        "room@mix.example",
        "mix.example",
    ];
    Ours::new(addresses.map(|raw| Address::new(raw).bare_jid().unwrap()))
}

fn left(children: &str) -> String {
    super::text(&strip(&message(children).payload, &ours()))
}

/// `children` are removed, and what stands around them is not.
fn is_stripped(children: &str) {
    let around = format!("<body>x</body>{children}<origin-id xmlns='urn:xmpp:sid:0' id='o'/>");
    let expected = "<body>x</body><origin-id xmlns='urn:xmpp:sid:0' id='o'/>";
    assert_eq!(left(&around), expected, "{children}");
}

fn is_kept(children: &str) {
    assert_eq!(left(children), children);
}

/// covers: MUC-MSG-04, MIX-MSG-11
#[test]
fn muc_msg_04_mix_msg_11_content_passes_untouched_and_in_order() {
    is_kept(
        "<body>a</body><body xml:lang='de'>b</body><thread>t</thread><active xmlns='http://jabber.org/protocol/chatstates'/>\
         <replace xmlns='urn:xmpp:message-correct:0' id='1'/><reactions xmlns='urn:xmpp:reactions:0' id='1'/>\
         <retract xmlns='urn:xmpp:message-retract:1' id='1'/><private xmlns='urn:xmpp:carbons:2'/>\
         <reply xmlns='urn:xmpp:reply:0' id='1' to='room@chat.example/n'/><request xmlns='urn:xmpp:receipts'/>\
         <encrypted xmlns='eu.siacs.conversations.axolotl'><header/></encrypted><x xmlns='jabber:x:oob'/>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='other@example' id='1'/><delay xmlns='urn:xmpp:delay' from='u@h' stamp='x'/>\
         <delay xmlns='urn:xmpp:delay' stamp='x'/>",
    );
}

#[test]
fn s_21_mix_msg_08_every_stanza_id_of_ours_in_any_spelling() {
    for by in [
        "room@chat.example",
        "ROOM@Chat.Example",
        "room@chat.example.",
        "room@chat.example/n",
        "&#114;oom@chat.example",
        "room@mix.example",
        "chat.example",
        "\u{ff52}oom@chat.example",
    ] {
        is_stripped(&format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='1'/>").repeat(3));
        is_stripped(&format!(
            "<q:stanza-id xmlns:q='urn:xmpp:sid:0' id='1' by=\"{by}\"/>"
        ));
    }
    is_kept(
        "<stanza-id xmlns='urn:xmpp:sid:0' by='other@chat.example' id='1'/><stanza-id xmlns='urn:xmpp:sid:0' id='1'/>",
    );
}

/// covers: MUC-MSG-05, MIX-MSG-10, MUC-PRES-10
#[test]
fn s_22_occupant_ids_all_copies_and_only_direct_children() {
    is_stripped(&"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='x'/>".repeat(3));
    is_stripped("<o:occupant-id xmlns:o='urn:xmpp:occupant&#45;id:0' id='x'/>");
    is_kept("<e xmlns='urn:e'><occupant-id xmlns='urn:xmpp:occupant-id:0' id='x'/></e>");
}

/// covers: MUC-MSG-05, MUC-MSG-12, MUC-PRES-10, MIX-MSG-10
#[test]
fn s_24_muc_msg_05_mix_msg_10_what_rooms_and_channels_say_about_people() {
    is_stripped(
        "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/><item affiliation='owner'/><invite to='a@b'/></x>",
    );
    is_stripped(
        "<x xmlns='http://jabber.org/protocol/muc'/><mav xmlns='urn:xmpp:muc:affiliations:1'/>",
    );
    is_stripped(
        "<mix xmlns='urn:xmpp:mix:core:0'/><mix xmlns='urn:xmpp:mix:core:1'><nick>n</nick></mix>",
    );
    is_stripped("<mix xmlns='urn:xmpp:mix:presence:0'/>");
    is_stripped("<hats xmlns='urn:xmpp:hats:0'><hat uri='u' title='owner'/></hats>");
    is_stripped("<version xmlns='urn:xmpp:muc-presence-versioning:0' ver='1'/>");
}

/// covers: MUC-MSG-06
#[test]
fn s_25_muc_msg_06_copies_and_results_of_archives() {
    is_stripped("<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>");
    is_stripped("<received xmlns='urn:xmpp:carbons:2'/>");
    is_stripped("<result xmlns='urn:xmpp:mam:2' id='1'/><result xmlns='urn:xmpp:mam:1' id='1'/>");
    is_stripped("<mentions xmlns='urn:xmpp:mmn:0'/>");
    let forwarded =
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded>";
    is_kept(forwarded);
}

#[test]
fn muc_msg_06_moderation_by_a_client() {
    is_stripped("<moderate xmlns='urn:xmpp:message-moderate:1' id='1'/>");
    is_stripped("<moderated xmlns='urn:xmpp:message-moderate:0' by='r@c/n'/>");
    is_stripped(
        "<retract xmlns='urn:xmpp:message-retract:1' id='1'><moderated xmlns='urn:xmpp:message-moderate:1'/></retract>",
    );
    is_stripped(
        "<apply-to xmlns='urn:xmpp:fasten:0' id='1'><moderated xmlns='urn:xmpp:message-moderate:0'/></apply-to>",
    );
}

/// covers: MUC-MSG-05, MUC-PRES-11
#[test]
fn s_26_muc_pres_11_delays_of_ours_in_any_spelling() {
    for from in [
        "room@chat.example",
        "Room@CHAT.example",
        "chat.example",
        "room@chat.example/nick",
        "chat.example.",
    ] {
        is_stripped(&format!(
            "<delay xmlns='urn:xmpp:delay' from='{from}' stamp='2002-09-10T23:08:25Z'/>"
        ));
        is_stripped(&format!(
            "<x xmlns='jabber:x:delay' from='{from}' stamp='20020910T23:08:25'/>"
        ));
    }
}

#[test]
fn s_28_privilege_and_delegation_of_users() {
    for namespace in [
        "urn:xmpp:privilege:1",
        "urn:xmpp:privilege:2",
        "urn:xmpp:delegation:1",
        "urn:xmpp:delegation:2",
    ] {
        is_stripped(&format!("<x xmlns='{namespace}'/>"));
    }
}

#[test]
fn s_29_extended_addresses() {
    is_stripped(
        "<addresses xmlns='http://jabber.org/protocol/address'><address type='noreply'/><address type='ofrom' jid='a@b'/></addresses>",
    );
}

/// What the service adds and a client may not say must be one list: nothing added could be forged.
#[test]
fn what_the_service_adds_cannot_come_from_a_client() {
    for (namespace, name) in SERVICE_ADDED {
        is_stripped(&format!(
            "<{name} xmlns='{namespace}' by='room@chat.example' from='room@chat.example'/>"
        ));
    }
}

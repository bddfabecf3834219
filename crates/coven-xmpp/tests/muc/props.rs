//! What holds of whatever is sent: no panic, good stanzas only, and nobody learns an address without being entitled
//! (I8). The world checks every stanza; here are the stanzas.

use crate::common::{ROOM, World, coven, try_read};
use bytes::Bytes;
use coven_core::{
    Affiliation, BareJid, Command, FullJid, Group, Origin, Role, Sender, StanzaKind, View,
};
use proptest::prelude::*;
use proptest::sample::select;

/// People whose names occur nowhere else.
const PEOPLE: [&str; 6] = [
    "annabel@alpha.example",
    "benedick@beta.example",
    "cordelia@gamma.example",
    "desdemona@delta.example",
    "egeus@epsilon.example",
    "fortinbras@zeta.example",
];

const RESOURCES: [&str; 4] = ["", "/one", "/two", "/🦉"];

const TARGETS: [&str; 16] = [
    "coven@chat.example",
    "coven@chat.example",
    "coven@chat.example",
    "coven@chat.example/first",
    "coven@chat.example/second",
    "coven@chat.example/third",
    "coven@chat.example/ Third  ",
    "coven@chat.example/\u{202e}x",
    "COVEN@chat.example",
    "coven@mix.example",
    "coven@mix.example/first",
    "heath@chat.example/first",
    "a#coven@mix.example",
    "chat.example",
    "mix.example",
    "\u{2028}@chat.example",
];

const TYPES: [&str; 14] = [
    "",
    "",
    "",
    "",
    "groupchat",
    "groupchat",
    "unavailable",
    "get",
    "set",
    "set",
    "result",
    "error",
    "chat",
    "bogus",
];

const CHILDREN: [&str; 52] = [
    "<delay xmlns='urn:xmpp:delay' from='{me}' stamp='2020-01-01T00:00:00Z'/>",
    "<x xmlns='jabber:x:delay' from='{me}' stamp='20200101T00:00:00'/>",
    "<x xmlns='http://jabber.org/protocol/muc'/>",
    "<x xmlns='http://jabber.org/protocol/muc'/>",
    "<x xmlns='http://jabber.org/protocol/muc'/>",
    "<x xmlns='http://jabber.org/protocol/muc'><history maxchars='700' since='2020-01-01T00:00:00Z'/></x>",
    "<x xmlns='http://jabber.org/protocol/muc'><password>pw</password></x>",
    "<body>words &amp; &lt;more&gt;</body>",
    "<body>words</body>",
    "<subject>theme</subject>",
    "<show>away</show>",
    "<show>chat</show>",
    "<status>busy</status>",
    "<thread>t</thread>",
    "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    "<replace xmlns='urn:xmpp:message-correct:0' id='m1'/>",
    "<retract xmlns='urn:xmpp:message-retract:1' id='m1'/>",
    "<stanza-id xmlns='urn:xmpp:sid:0' id='x' by='coven@chat.example'/>",
    "<delay xmlns='urn:xmpp:delay' from='coven@chat.example' stamp='2020-01-01T00:00:00Z'/>",
    "<x xmlns='http://jabber.org/protocol/muc#user'><item jid='a@b'/></x>",
    "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    "<error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    "<ping xmlns='urn:xmpp:ping'/>",
    "<query xmlns='jabber:iq:version'/>",
    "<query xmlns='http://jabber.org/protocol/disco#info'/>",
    "<query xmlns='http://jabber.org/protocol/disco#info' node='mix'/>",
    "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>",
    "<query xmlns='http://jabber.org/protocol/disco#items'/>",
    "<query xmlns='http://jabber.org/protocol/disco#items' node='mix'/>",
    "<query xmlns='http://jabber.org/protocol/muc#owner'/>",
    "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
    "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field \
     var='muc#roomconfig_whois'><value>anyone</value></field></x></query>",
    "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field \
     var='muc#roomconfig_whois'><value>moderators</value></field></x></query>",
    "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field \
     var='muc#roomconfig_moderatedroom'><value>1</value></field></x></query>",
    "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field \
     var='muc#roomconfig_membersonly'><value>1</value></field></x></query>",
    "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy jid='heath@mix.example'/></query>",
    "<query xmlns='urn:xmpp:mam:2' queryid='q'/>",
    "<query xmlns='urn:xmpp:mam:2' node='urn:xmpp:mix:nodes:messages'><flip-page/></query>",
    "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
     <value>urn:xmpp:mam:2</value></field><field var='with'><value>benedick@beta.example</value></field></x></query>",
    "<metadata xmlns='urn:xmpp:mam:2'/>",
    "<vCard xmlns='vcard-temp'/>",
    "<join xmlns='urn:xmpp:mix:core:1'><nick>first</nick><subscribe node='urn:xmpp:mix:nodes:messages'/>\
     <subscribe node='urn:xmpp:mix:nodes:participants'/><subscribe node='urn:xmpp:mix:nodes:presence'/></join>",
    "<join xmlns='urn:xmpp:mix:core:1'><nick>fourth</nick><subscribe node='urn:xmpp:mix:nodes:participants'/></join>",
    "<leave xmlns='urn:xmpp:mix:core:1'/>",
    "<setnick xmlns='urn:xmpp:mix:core:1'><nick>fifth</nick></setnick>",
    "<update-subscription xmlns='urn:xmpp:mix:core:1'><subscribe node='urn:xmpp:mix:nodes:presence'/></update-subscription>",
    "<create xmlns='urn:xmpp:mix:core:1' channel='coven'/>",
    "<destroy xmlns='urn:xmpp:mix:core:1' channel='coven'/>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:mix:nodes:participants'/></pubsub>",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:mix:nodes:info'/></pubsub>",
    "<frobnicate xmlns='urn:example'/>",
    "<active xmlns='http://jabber.org/protocol/chatstates'/>",
];

/// Something that happens.
#[derive(Debug, Clone)]
enum Act {
    /// A stanza arrives.
    Stanza(String),
    /// The owner changes somebody's affiliation.
    Affiliate(usize, Affiliation),
    /// The owner changes the role of a nick.
    Role(&'static str, Role),
}

fn stanza() -> impl Strategy<Value = String> {
    let children = proptest::collection::vec(select(&CHILDREN[..]), 0..3);
    (
        select(&["message", "presence", "presence", "iq"][..]),
        select(&TYPES[..]),
        (0..PEOPLE.len(), select(&RESOURCES[..])),
        select(&TARGETS[..]),
        children,
    )
        .prop_map(|(kind, type_, (person, resource), to, children)| {
            let type_ = match type_ {
                "" => String::new(),
                type_ => format!("type='{type_}'"),
            };
            // Clients put their own address into a delay: nobody may learn it from there.
            let from = PEOPLE[person];
            let children = children.concat();
            let children = children.replace("{me}", &format!("{from}{resource}"));
            format!("<{kind} from='{from}{resource}' to='{to}' id='m1' {type_}>{children}</{kind}>")
        })
}

/// Stanzas that lead somewhere: joins above all.
fn useful() -> impl Strategy<Value = String> {
    let nick = select(&["first", "second", "third", "fourth"][..]);
    let resource = select(&["/one", "/two"][..]);
    (0..PEOPLE.len(), resource, nick, 0..5u8).prop_map(|(person, resource, nick, what)| {
        let from = format!("{}{resource}", PEOPLE[person]);
        let muc = "<x xmlns='http://jabber.org/protocol/muc'/>";
        match what {
            0 | 1 => format!("<presence from='{from}' to='{ROOM}/{nick}'>{muc}</presence>"),
            2 => format!("<presence from='{from}' to='{ROOM}/{nick}'><show>dnd</show></presence>"),
            3 => format!("<message from='{from}' to='{ROOM}' type='groupchat' id='m1'><body>x</body></message>"),
            _ => format!("<message from='{from}' to='{ROOM}/{nick}' type='chat'><body>x</body></message>"),
        }
    })
}

fn act() -> impl Strategy<Value = Act> {
    use Affiliation::{Admin, Member, None as Nothing, Outcast};
    let affiliation = select(&[Admin, Member, Nothing, Outcast][..]);
    let role = select(
        &[
            Role::Moderator,
            Role::Participant,
            Role::Visitor,
            Role::None,
        ][..],
    );
    let nick = select(&["first", "second", "third", "fourth"][..]);
    prop_oneof![
        5 => stanza().prop_map(Act::Stanza),
        5 => useful().prop_map(Act::Stanza),
        1 => (1..PEOPLE.len(), affiliation).prop_map(|(who, a)| Act::Affiliate(who, a)),
        1 => (nick, role).prop_map(|(nick, role)| Act::Role(nick, role)),
    ]
}

fn owner() -> Sender {
    Sender {
        bare: BareJid::from_normalised(PEOPLE[0]),
        full: FullJid::parse(&format!("{}/one", PEOPLE[0])),
        group: Group("main".into()),
    }
}

fn origin() -> Origin {
    Origin {
        kind: StanzaKind::Iq,
        from: format!("{}/one", PEOPLE[0]).into(),
        to: ROOM.into(),
        id: Some("act".into()),
        lang: None,
        view: View::Muc,
        group: Group("main".into()),
        payload: Bytes::new(),
    }
}

fn play(mut world: World, acts: Vec<Act>) {
    world.watched = PEOPLE.map(str::to_owned).to_vec();
    let owner_joins = format!(
        "<presence from='{}/one' to='{ROOM}/first'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
        PEOPLE[0]
    );
    world.send(&owner_joins);
    world.submit(&format!("{}/one", PEOPLE[0]), "");
    for act in acts {
        world.now = world.now.plus_ms(1000);
        let command = match act {
            Act::Stanza(xml) => {
                if try_read(&xml).is_some() {
                    world.send(&xml);
                }
                continue;
            }
            Act::Affiliate(who, affiliation) => {
                Command::SetAffiliation(coven_core::command::Grant {
                    jid: BareJid::from_normalised(PEOPLE[who]),
                    affiliation,
                    nick: None,
                    reason: None,
                })
            }
            Act::Role(nick, role) => Command::SetRole(coven_core::command::RoleChange {
                nick: nick.into(),
                role,
                reason: Some("because".into()),
            }),
        };
        world.command(&coven(), &owner(), &command, &origin());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn i8_i10_muc_anon_02_muc_comp_03_nothing_leaks_and_nothing_breaks(
        acts in proptest::collection::vec(act(), 1..60),
        kind in 0..3u8,
    ) {
        let world = match kind {
            0 => World::muc(),
            1 => World::both(),
            _ => World::pair(),
        };
        play(world, acts);
    }
}

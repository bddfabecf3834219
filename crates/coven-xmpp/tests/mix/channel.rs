//! A world with one channel that MIX clients use, and what they do there.

use crate::common::{CRONE, Stanzas, World, domain};
use coven_core::people::participation::Node;
use minidom::Element;
use std::ops::{Deref, DerefMut};

/// A second client of `HAG`.
pub const HAG2: &str = "hag66@shakespeare.example/phone";

/// Everything a usual client subscribes to.
pub const ALL: [Node; 4] = [
    Node::Messages,
    Node::Participants,
    Node::Info,
    Node::Presence,
];

pub const MIX: &str = "urn:xmpp:mix:core:1";
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
pub const EVENT: &str = "http://jabber.org/protocol/pubsub#event";

/// A world, the domain where MIX is spoken, and the channel there.
pub struct Mix {
    pub world: World,
    pub domain: &'static str,
    pub channel: &'static str,
}

impl Deref for Mix {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Mix {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

/// MIX alone, at `mix.example`.
pub fn alone() -> Mix {
    let mut only = domain("mix.example", false, true);
    only.service = std::sync::Arc::new(coven_core::Service {
        muc: false,
        ..coven_core::Service::default()
    });
    Mix::of(World::of(vec![only]), "mix.example", "coven@mix.example")
}

/// Both views at `chat.example`.
pub fn one() -> Mix {
    Mix::of(World::both(), "chat.example", "coven@chat.example")
}

/// MUC at `chat.example`, MIX at `mix.example`.
pub fn pair() -> Mix {
    Mix::of(World::pair(), "mix.example", "coven@mix.example")
}

/// All three.
pub fn all() -> [Mix; 3] {
    [alone(), one(), pair()]
}

/// Those where MUC is spoken as well.
pub fn shared() -> [Mix; 2] {
    [one(), pair()]
}

impl Mix {
    const fn of(world: World, domain: &'static str, channel: &'static str) -> Self {
        Self {
            world,
            domain,
            channel,
        }
    }

    /// With the channel, which `CRONE` has created and does not take part in.
    pub fn created(mut self) -> Self {
        let out = self.create(CRONE, "coven");
        assert_eq!(out.one().kind(), "result");
        self
    }

    /// The same, with real addresses visible to all.
    pub fn visible(self) -> Self {
        let mut mix = self.created();
        mix.configure(|s| s.visibility = Some(coven_core::people::visibility::Visibility::Visible));
        mix
    }

    pub fn create(&mut self, from: &str, name: &str) -> Stanzas {
        let domain = self.domain;
        let create = format!("<create xmlns='{MIX}' channel='{name}'/>");
        self.iq_to(domain, from, "set", &create)
    }

    /// An IQ to the channel.
    pub fn asks(&mut self, from: &str, kind: &str, payload: &str) -> Stanzas {
        let channel = self.channel;
        self.iq_to(channel, from, kind, payload)
    }

    /// A join for all nodes, as a participant's server sends it.
    pub fn participates(&mut self, jid: &str, nick: &str) -> Stanzas {
        self.participates_in(jid, &ALL, nick)
    }

    pub fn participates_in(&mut self, jid: &str, nodes: &[Node], nick: &str) -> Stanzas {
        let join = join(nodes, nick);
        self.asks(bare(jid), "set", &join)
    }

    pub fn leaves(&mut self, jid: &str) -> Stanzas {
        self.asks(bare(jid), "set", &format!("<leave xmlns='{MIX}'/>"))
    }

    pub fn sets_nick(&mut self, jid: &str, nick: &str) -> Stanzas {
        let setnick = format!("<setnick xmlns='{MIX}'><nick>{nick}</nick></setnick>");
        self.asks(jid, "set", &setnick)
    }

    /// Presence to the channel.
    pub fn presence(&mut self, from: &str, kind: &str, payload: &str) -> Stanzas {
        let kind = match kind {
            "" => String::new(),
            kind => format!(" type='{kind}'"),
        };
        let channel = self.channel;
        self.send(&format!(
            "<presence from='{from}' to='{channel}'{kind}>{payload}</presence>"
        ))
    }

    /// A groupchat message to the channel in the MIX view.
    pub fn mix_says(&mut self, from: &str, id: &str, text: &str) -> Stanzas {
        self.mix_posts(from, id, &format!("<body>{text}</body>"))
    }

    pub fn mix_posts(&mut self, from: &str, id: &str, payload: &str) -> Stanzas {
        let channel = self.channel;
        self.send(&format!(
            "<message from='{from}' to='{channel}' id='{id}' type='groupchat'>{payload}</message>"
        ))
    }

    /// Items of a node, read by PubSub.
    pub fn reads(&mut self, from: &str, node: &str, more: &str) -> Stanzas {
        let items = format!("<pubsub xmlns='{PUBSUB}'><items node='{node}'/>{more}</pubsub>");
        self.asks(from, "get", &items)
    }

    /// The owner changes settings.
    pub fn configure(
        &mut self,
        change: impl FnOnce(&mut coven_core::command::Settings),
    ) -> Stanzas {
        let mut settings = coven_core::command::Settings::default();
        change(&mut settings);
        self.does(CRONE, coven_core::Command::Configure(Box::new(settings)))
    }

    /// A command that has no form in MIX yet.
    pub fn does(&mut self, from: &str, command: coven_core::Command) -> Stanzas {
        let asked = self.dispatch(&format!(
            "<iq from='{from}' to='{}' id='c' type='set'><leave xmlns='{MIX}'/></iq>",
            self.channel
        ));
        let coven_xmpp::dispatch::Inbound::Channel {
            name,
            sender,
            origin,
            ..
        } = asked
        else {
            panic!("{asked:?}");
        };
        self.command(&name, &sender, &command, &origin)
    }

    /// The stable id of somebody who is there.
    pub fn id(&mut self, jid: &str) -> String {
        let bare = coven_core::BareJid::parse(bare(jid)).unwrap();
        let roster = self.coven().channel.roster();
        roster.person_of(&bare).unwrap().id.to_string()
    }

    /// `channel/stableid` of somebody who is there.
    pub fn speaker(&mut self, jid: &str) -> String {
        let id = self.id(jid);
        format!("{}/{id}", self.channel)
    }

    /// `stableid#channel` of somebody who is there.
    pub fn encoded(&mut self, jid: &str) -> String {
        format!("{}#{}", self.id(jid), self.channel)
    }
}

pub fn bare(jid: &str) -> &str {
    jid.split('/').next().unwrap()
}

/// `<join/>`; without `<nick/>` for an empty one.
pub fn join(nodes: &[Node], nick: &str) -> String {
    let nodes: String = nodes
        .iter()
        .map(|n| format!("<subscribe node='{}'/>", n.name()))
        .collect();
    let nick = match nick {
        "" => String::new(),
        nick => format!("<nick>{nick}</nick>"),
    };
    format!("<join xmlns='{MIX}'>{nodes}{nick}</join>")
}

/// Text of the child of that name in the core namespace.
pub fn text(element: &Element, name: &str) -> Option<String> {
    element.get_child(name, MIX).map(Element::text)
}

/// The `node`s of children of that name, in order.
pub fn nodes<'a>(element: &'a Element, name: &str) -> Vec<&'a str> {
    let named = element.children().filter(|c| c.name() == name);
    named.map(|c| c.attr("node").unwrap()).collect()
}

/// What a notification says: node, and each item or retraction as `+id nick jid` or `-id`.
pub fn event(stanza: &crate::common::Sent) -> (String, Vec<String>) {
    assert!(
        stanza.is_message() && stanza.kind().is_empty(),
        "{stanza:?}"
    );
    let event = stanza
        .child("event", EVENT)
        .unwrap_or_else(|| panic!("{stanza:?}"));
    let inner = event.children().next().unwrap();
    let item = |e: &Element| match e.name() {
        "retract" => format!("-{}", e.attr("id").unwrap()),
        _ => match e.get_child("participant", MIX) {
            Some(p) => format!(
                "+{} {} {}",
                e.attr("id").unwrap(),
                text(p, "nick").unwrap_or_default(),
                text(p, "jid").unwrap_or_default()
            ),
            None => format!("+{}", e.attr("id").unwrap()),
        },
    };
    (
        format!("{} {}", inner.name(), inner.attr("node").unwrap()),
        inner.children().map(item).collect(),
    )
}

/// The `<join/>` of the result, which has one child.
pub fn joined(out: &Stanzas) -> minidom::Element {
    let result = out.keep(|s| s.kind() == "result");
    let join = result.one().payload().clone();
    assert!(join.is("join", MIX));
    join
}

pub fn names(nodes: &[Node]) -> Vec<&'static str> {
    nodes.iter().map(|n| n.name()).collect()
}

/// What subscribers of participants are told, by who is told it.
pub fn told(out: &Stanzas, jid: &str) -> Vec<(String, Vec<String>)> {
    out.to(bare(jid)).messages().iter().map(event).collect()
}

pub fn added(items: &[&str]) -> Vec<(String, Vec<String>)> {
    let node = Node::Participants.name();
    vec![(
        format!("items {node}"),
        items.iter().map(|i| format!("+{i}")).collect(),
    )]
}

pub fn retracted(id: &str) -> Vec<(String, Vec<String>)> {
    vec![(
        format!("items {}", Node::Participants.name()),
        vec![format!("-{id}")],
    )]
}

/// All of the archive, asked for by the node.
pub fn mam(w: &mut Mix, from: &str) -> Stanzas {
    let node = Node::Messages.name();
    let query = format!("<query xmlns='urn:xmpp:mam:2' node='{node}'/>");
    let out = w.asks(from, "set", &query);
    assert_eq!(out.last().unwrap().kind(), "result");
    out
}

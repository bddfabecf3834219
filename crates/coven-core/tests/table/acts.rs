//! The verbs: what people at a table can do, in few words.

use super::{Outcome, Table, bare};
use bytes::Bytes;
use coven_core::command::{Bounce, Command, Join, Post, Private, Relay, Settings, Traits};
use coven_core::people::participation::Nodes;
use coven_core::presence::participate::SUBSCRIBABLE;
use coven_core::presence::session::{Presence, Show};
use coven_core::{Affiliation, Condition, Config, HistoryRequest, ProbeMark, Role};
use smol_str::SmolStr;
use std::sync::Arc;

/// A presence with a show value and a status text.
pub fn presence(show: Show, status: &str) -> Arc<Presence> {
    Arc::new(Presence {
        show,
        payload: Bytes::copy_from_slice(status.as_bytes()),
    })
}

/// A plain join.
pub fn join(nick: &str) -> Join {
    Join {
        nick: Some(nick.into()),
        password: None,
        history: HistoryRequest::default(),
        presence: presence(Show::Available, ""),
        stanza_id: None,
    }
}

/// A message with a body.
pub fn post(text: &str) -> Post {
    Post {
        view: None,
        own_id: Some("m1".into()),
        lang: None,
        payload: Bytes::copy_from_slice(text.as_bytes()),
        traits: Traits::BODY,
        subject: None,
        reference: None,
    }
}

/// A message that sets a subject.
pub fn topic(text: &str) -> Post {
    Post {
        traits: Traits::default(),
        subject: Some(Bytes::copy_from_slice(text.as_bytes())),
        ..post("")
    }
}

impl Table {
    /// MUC join.
    pub fn joins(&mut self, jid: &str, nick: &str) -> Outcome {
        self.joins_with(jid, join(nick))
    }

    pub fn joins_with(&mut self, jid: &str, join: Join) -> Outcome {
        self.act(jid, Command::Join(Box::new(join)))
    }

    /// MUC presence to an occupant JID.
    pub fn shows(&mut self, jid: &str, nick: &str, show: Show) -> Outcome {
        let (nick, presence) = (Some(nick.into()), presence(show, ""));
        self.act(jid, Command::Update { nick, presence })
    }

    /// MUC: another nick, with the presence it had.
    pub fn renames(&mut self, jid: &str, nick: &str) -> Outcome {
        let presence = Arc::clone(&self.session(jid).presence);
        let nick = Some(nick.into());
        self.act(jid, Command::Update { nick, presence })
    }

    pub fn leaves(&mut self, jid: &str) -> Outcome {
        let payload = Bytes::new();
        self.act(jid, Command::Leave { payload })
    }

    /// The bounce of a probe, if a mark is given, or of something else.
    pub fn bounces(
        &mut self,
        jid: &str,
        condition: Condition,
        probed: Option<ProbeMark>,
    ) -> Outcome {
        let bounce = Bounce {
            probed,
            condition,
            confirmed: false,
        };
        self.act(jid, Command::Bounce(bounce))
    }

    pub fn says(&mut self, jid: &str, text: &str) -> Outcome {
        self.posts(jid, post(text))
    }

    pub fn posts(&mut self, jid: &str, post: Post) -> Outcome {
        self.act(jid, Command::Post(Box::new(post)))
    }

    pub fn whispers(&mut self, jid: &str, nick: &str) -> Outcome {
        self.act(jid, Command::Private(Box::new(private(nick))))
    }

    pub fn relays(&mut self, jid: &str, relay: Relay) -> Outcome {
        self.act(jid, Command::Relay(Box::new(relay)))
    }

    /// MIX join, to all nodes.
    pub fn participates(&mut self, jid: &str, nick: &str) -> Outcome {
        self.participates_in(jid, SUBSCRIBABLE, Some(nick))
    }

    pub fn participates_in(&mut self, jid: &str, nodes: Nodes, nick: Option<&str>) -> Outcome {
        let nick = nick.map(SmolStr::from);
        self.act(jid, Command::Participate { nodes, nick })
    }

    pub fn departs(&mut self, jid: &str) -> Outcome {
        self.act(jid, Command::Depart)
    }

    pub fn sets_nick(&mut self, jid: &str, nick: &str) -> Outcome {
        let nick = Some(nick.into());
        self.act(jid, Command::SetNick { nick })
    }

    /// Presence to the bare channel.
    pub fn is_online(&mut self, jid: &str, show: Show) -> Outcome {
        let presence = presence(show, "");
        self.act(jid, Command::Online { presence })
    }

    pub fn is_offline(&mut self, jid: &str) -> Outcome {
        let payload = Bytes::new();
        self.act(jid, Command::Offline { payload })
    }

    pub fn configures(&mut self, jid: &str, change: impl FnOnce(&mut Settings)) -> Outcome {
        let mut settings = Settings::default();
        change(&mut settings);
        self.act(jid, Command::Configure(Box::new(settings)))
    }

    /// The owner changes any setting.
    pub fn sets(&mut self, change: impl FnOnce(&mut Config)) -> Outcome {
        let mut config = (**self.roster().config()).clone();
        change(&mut config);
        let outcome = self.configures(super::OWNER, |s| s.all = Some(Box::new(config)));
        outcome.ok()
    }

    pub fn affiliates(&mut self, by: &str, jid: &str, affiliation: Affiliation) -> Outcome {
        let command = Command::SetAffiliation(coven_core::command::Grant {
            jid: bare(jid),
            affiliation,
            nick: None,
            reason: None,
        });
        self.act(by, command)
    }

    /// The owner makes somebody a member, an administrator, ...
    pub fn makes(&mut self, jid: &str, affiliation: Affiliation) -> Outcome {
        self.affiliates(super::OWNER, jid, affiliation).ok()
    }

    pub fn gives(&mut self, by: &str, nick: &str, role: Role) -> Outcome {
        let command = Command::SetRole(coven_core::command::RoleChange {
            nick: nick.into(),
            role,
            reason: None,
        });
        self.act(by, command)
    }

    pub fn kicks(&mut self, by: &str, nick: &str) -> Outcome {
        self.gives(by, nick, Role::None)
    }

    pub fn destroys(&mut self, jid: &str, alternate: Option<&str>) -> Outcome {
        let command = Command::Destroy(coven_core::command::End {
            alternate: alternate.map(SmolStr::from),
            reason: None,
            password: None,
        });
        self.act(jid, command)
    }

    /// A deadline has passed.
    pub fn tick(&mut self) -> Outcome {
        self.act(super::OWNER, Command::Timer)
    }
}

/// A private message.
pub fn private(nick: &str) -> Private {
    Private {
        nick: nick.into(),
        kind: Some("chat".into()),
        own_id: Some("p1".into()),
        lang: None,
        payload: Bytes::from_static(b"<body>psst</body>"),
        error: false,
    }
}

/// An IQ get to an occupant.
pub fn iq(nick: &str) -> Relay {
    Relay {
        nick: nick.into(),
        kind: "get".into(),
        id: "iq-1".into(),
        payload: Bytes::from_static(b"<query xmlns='jabber:iq:version'/>"),
        to_bare: false,
    }
}

//! Every command, with arguments from small sets.

use crate::table::acts::{iq, join, post, presence, private, topic};
use crate::table::bare;
use bytes::Bytes;
use coven_core::command::{Bounce, Join, Post, Private, Relay, Settings, Traits};
use coven_core::people::participation::Nodes;
use coven_core::people::visibility::Visibility;
use coven_core::presence::session::Show;
use coven_core::{Affiliation, Command, Condition, Config, ProbeMark, Role};
use proptest::prelude::*;
use smol_str::SmolStr;

const PEOPLE: [&str; 6] = [
    "crone1@shakespeare.example",
    "hag66@shakespeare.example",
    "wiccarocks@shakespeare.example",
    "macbeth@scotland.example",
    "banquo@scotland.example",
    "scotland.example",
];

const NICKS: [&str; 8] = [
    "a",
    "A",
    "b",
    "c",
    "d",
    " e  e",
    "e\u{3000}E",
    "user-aaaaaaaa",
];

/// Who does what: anybody anything, but rights are mostly exercised by those who have some.
pub(super) fn act() -> impl Strategy<Value = (String, Command)> {
    let ruler = prop_oneof![3 => Just(format!("{}/a", PEOPLE[0])), 1 => jid()];
    prop_oneof![
        16 => (jid(), by_muc()),
        10 => (jid(), by_mix()),
        8 => (jid(), content()),
        8 => (ruler, rights()),
    ]
}

/// Mostly with a resource.
fn jid() -> impl Strategy<Value = String> {
    (person(), 0..20usize).prop_map(|(bare, resource)| match resource {
        0..=11 => format!("{bare}/a"),
        12..=18 => format!("{bare}/b"),
        _ => bare.to_owned(),
    })
}

fn person() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just(PEOPLE[0]), 7 => prop::sample::select(&PEOPLE[1..])]
}

fn target() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => person(), 1 => Just("scotland.example"), 1 => Just("absent@x.example")]
}

fn nick() -> impl Strategy<Value = SmolStr> {
    prop_oneof![
        20 => prop::sample::select(&NICKS[..]),
        1 => Just(""),
        1 => Just("\u{200b}"),
    ]
    .prop_map(SmolStr::from)
}

fn show() -> impl Strategy<Value = Show> {
    let shows = [Show::Xa, Show::Dnd, Show::Away, Show::Available, Show::Chat];
    prop::sample::select(shows.to_vec())
}

fn role() -> impl Strategy<Value = Role> {
    let roles = [
        Role::None,
        Role::Visitor,
        Role::Participant,
        Role::Moderator,
    ];
    prop::sample::select(roles.to_vec())
}

fn affiliation() -> impl Strategy<Value = Affiliation> {
    use Affiliation::{Admin, Member, None, Outcast, Owner};
    prop::sample::select(vec![Outcast, None, Member, Admin, Owner])
}

fn nodes() -> impl Strategy<Value = Nodes> {
    (0..1u16 << 10).prop_map(Nodes)
}

fn traits() -> impl Strategy<Value = Traits> {
    prop_oneof![2 => Just(Traits::BODY), 1 => (0..1u16 << 8).prop_map(Traits)]
}

fn config() -> impl Strategy<Value = Config> {
    let rarely = || prop::bool::weighted(0.2);
    let access = (
        any::<bool>(),
        prop::bool::weighted(0.7),
        rarely(),
        any::<bool>(),
    );
    let rest = (any::<bool>(), any::<bool>(), any::<bool>());
    let limits = (prop::option::weighted(0.2, 0..4u32), rarely());
    (access, rest, limits).prop_map(|(access, rest, (max_users, secret))| {
        let (public, persistent, members_only, moderated) = access;
        let (change_subject, mandatory_nicks, visible) = rest;
        Config {
            public,
            persistent,
            members_only,
            moderated,
            change_subject,
            mandatory_nicks,
            visibility: if visible {
                Visibility::Visible
            } else {
                Visibility::Hidden
            },
            max_users,
            password: secret.then(|| "secret".into()),
            ..Config::default()
        }
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    prop_oneof![
        2 => config().prop_map(|config| Settings {
            all: Some(Box::new(config)),
            ..Settings::default()
        }),
        1 => any::<[Option<bool>; 4]>().prop_map(|[persistent, members_only, moderated, password_protected]| Settings {
            persistent,
            members_only,
            moderated,
            password_protected,
            ..Settings::default()
        }),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    prop::sample::select(Condition::ALL.to_vec())
}

/// Stands for the mark of a probe of the sender's session as it is then.
pub(super) const GENUINE: ProbeMark = ProbeMark([1; 16]);

fn by_muc() -> impl Strategy<Value = Command> {
    let password = prop::option::of(Just(SmolStr::from("secret")));
    let join = (nick(), password, show()).prop_map(|(nick, password, show)| {
        Command::Join(Box::new(Join {
            password,
            presence: presence(show, ""),
            ..join(&nick)
        }))
    });
    let update = (prop::option::of(nick()), show()).prop_map(|(nick, show)| Command::Update {
        nick,
        presence: presence(show, ""),
    });
    let bounce = (condition(), prop::option::of(any::<bool>()), any::<bool>());
    let bounce = bounce.prop_map(|(condition, probed, confirmed)| {
        Command::Bounce(Bounce {
            probed: probed.map(|real| if real { GENUINE } else { ProbeMark([0; 16]) }),
            condition,
            confirmed,
        })
    });
    let payload = Bytes::new();
    prop_oneof![
        9 => join,
        3 => update,
        2 => Just(Command::Leave { payload }),
        1 => bounce,
    ]
}

fn by_mix() -> impl Strategy<Value = Command> {
    let participate = (nodes(), prop::option::of(nick()))
        .prop_map(|(nodes, nick)| Command::Participate { nodes, nick });
    let subscribe = (nodes(), nodes()).prop_map(|(add, remove)| Command::Subscribe { add, remove });
    let online = show().prop_map(|show| Command::Online {
        presence: presence(show, ""),
    });
    prop_oneof![
        4 => participate,
        1 => subscribe,
        1 => Just(Command::Depart),
        1 => prop::option::of(nick()).prop_map(|nick| Command::SetNick { nick }),
        3 => online,
        1 => Just(Command::Offline { payload: Bytes::new() }),
        1 => any::<bool>().prop_map(|wanted| Command::PresenceSubscription { wanted }),
        1 => prop_oneof![Just(Command::Create), Just(Command::CreateAdHoc)],
    ]
}

fn content() -> impl Strategy<Value = Command> {
    let said = traits().prop_map(|traits| Post {
        traits,
        ..post("x")
    });
    let said = prop_oneof![4 => said, 1 => Just(topic("<subject>x</subject>"))];
    let private = (nick(), any::<bool>()).prop_map(|(nick, error)| Private {
        error,
        ..private(&nick)
    });
    let kinds = prop::sample::select(vec!["get", "set", "result", "error"]);
    let relay = (
        nick(),
        kinds,
        "[0-9]{1,2}-[0-9a-f]{0,3}-[0-9]{0,2}-.{0,3}",
        any::<bool>(),
    );
    let relay = relay.prop_map(|(nick, kind, id, to_bare)| Relay {
        kind: kind.into(),
        id: id.into(),
        to_bare,
        ..iq(&nick)
    });
    prop_oneof![
        4 => said.prop_map(|post| Command::Post(Box::new(post))),
        1 => private.prop_map(|private| Command::Private(Box::new(private))),
        1 => relay.prop_map(|relay| Command::Relay(Box::new(relay))),
    ]
}

fn rights() -> impl Strategy<Value = Command> {
    let reserved = prop::option::weighted(0.3, nick());
    let affiliate = (target(), affiliation(), reserved).prop_map(|(jid, affiliation, nick)| {
        Command::SetAffiliation(coven_core::command::Grant {
            jid: bare(jid),
            affiliation,
            nick,
            reason: None,
        })
    });
    let role = (nick(), role()).prop_map(|(nick, role)| {
        Command::SetRole(coven_core::command::RoleChange {
            nick,
            role,
            reason: None,
        })
    });
    let alternate = prop::option::of(Just(SmolStr::from("heath@chat.example")));
    let destroy = alternate.prop_map(|alternate| {
        Command::Destroy(coven_core::command::End {
            alternate,
            reason: None,
            password: None,
        })
    });
    prop_oneof![
        9 => affiliate,
        12 => role,
        8 => settings().prop_map(|settings| Command::Configure(Box::new(settings))),
        1 => Just(Command::CancelConfiguration),
        1 => Just(Command::Timer),
        1 => destroy,
    ]
}

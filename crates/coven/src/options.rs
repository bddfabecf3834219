//! From the configuration to the options of the parts. Nothing else knows both.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use coven_cluster::leases::Attach;
use coven_core::Group;
use coven_front::{Quirks, Rate, Rates, Secrets, Slots};
use coven_store::{redis, sqlite};
use coven_xmpp::domains::{Domain, Domains};
use secrecy::ExposeSecret;
use smol_str::{SmolStr, format_smolstr};

use crate::config::{
    self, Barrier, Config, DomainName, Limits, MaxAge, Quirk, SecretSource, Upstream,
};
use crate::spaces;

/// With `durability = "interval"`: how long the system may keep data from the disk.
const FLUSH: Duration = Duration::from_secs(1);

/// How the store is opened.
#[derive(Clone, Debug)]
pub enum Store {
    /// A file.
    Sqlite(sqlite::Options),
    /// A Redis.
    Redis(redis::Options),
}

/// How the store is opened; `alone`: by one process that does all.
#[must_use]
pub fn store(config: &config::Store, alone: bool) -> Store {
    match &config.place {
        config::Place::Sqlite { path, interval } => Store::Sqlite(sqlite::Options {
            durability: match interval {
                false => sqlite::Durability::Sync,
                true => sqlite::Durability::Interval(FLUSH),
            },
            shards: config.shards,
            format: coven_proto::format::newest(),
            ..sqlite::Options::new(path)
        }),
        config::Place::Redis(place) => Store::Redis(redis::Options {
            prefix: SmolStr::new(&place.prefix),
            durability: place.durability,
            shards: config.shards,
            must_exist: place.must_exist,
            archive_bytes: place.archive_bytes,
            format: coven_proto::format::newest(),
            alone,
            ..redis::Options::new(place.url.expose_secret())
        }),
    }
}

/// What the node is told.
#[must_use]
pub fn node(config: &Config) -> coven_node::Options {
    let spaces = spaces::services(config).into_iter();
    coven_node::Options {
        shards: config.store.shards,
        idle_timeout: config.node.idle_timeout.0,
        connections: connections(config),
        spaces: spaces
            .map(|(space, service)| (text(&space), Arc::new(service)))
            .collect(),
        max_age: match config.archive.max_age {
            MaxAge::Forever => None,
            MaxAge::After(age) => Some(age),
        },
        max_count: config.archive.max_count.map(Into::into),
        ..coven_node::Options::default()
    }
}

/// The names of the connections of each space, as front-ends name them.
fn connections(config: &Config) -> HashMap<SmolStr, Vec<SmolStr>> {
    let domains = domains(config);
    let mut connections: HashMap<SmolStr, Vec<SmolStr>> = HashMap::new();
    for upstream in config.upstreams.iter().map(upstream) {
        let address = upstream.address();
        for domain in &upstream.domains {
            let space = domains.get(domain).map(|domain| domain.space.clone());
            let of_space = connections.entry(space.unwrap_or_default()).or_default();
            of_space.extend(upstream.slots.names(&upstream.group, &address, domain));
        }
    }
    connections
}

/// What the front-end is told.
#[must_use]
pub fn front(config: &Config) -> coven_front::Options {
    coven_front::Options {
        upstreams: config.upstreams.iter().map(upstream).collect(),
        domains: Arc::new(domains(config)),
        shards: config.store.shards,
        rates: rates(&config.limits),
        workers: None,
    }
}

/// How each connection is shared among front-ends: those that lead to several nodes of one server, or of which one node has
/// several, are spread (design §6).
#[must_use]
pub fn attach(config: &Config) -> BTreeMap<SmolStr, Attach> {
    let ways = |group: &str, domain: &DomainName| {
        let serves = |other: &&Upstream| other.group == group && other.domains.contains(domain);
        let all = config.upstreams.iter().filter(serves);
        all.map(|other| usize::from(slots(other).count()))
            .sum::<usize>()
    };
    let mut attach = BTreeMap::new();
    for one in &config.upstreams {
        let upstream = upstream(one);
        let address = upstream.address();
        for domain in &one.domains {
            let is_spread = one.attach != config::Attach::Standby && ways(&one.group, domain) > 1;
            let way = if is_spread {
                Attach::Spread
            } else {
                Attach::Standby
            };
            let names = upstream
                .slots
                .names(&upstream.group, &address, domain.as_str());
            attach.extend(names.map(|name| (name, way)));
        }
    }
    attach
}

/// How links are protected.
#[must_use]
pub fn security(cluster: &config::Cluster) -> coven_link::Security {
    match &cluster.security {
        config::Security::Plain { trusted } => coven_link::Security::Plain { anywhere: *trusted },
        config::Security::Mutual { ca, cert, key } => {
            coven_link::Security::Mutual(coven_link::tls::Files {
                ca: ca.clone(),
                cert: cert.clone(),
                key: key.clone(),
            })
        }
    }
}

/// Where front-ends reach this node, if not where it listens.
#[must_use]
pub fn advertise(cluster: &config::Cluster) -> Option<SmolStr> {
    cluster.advertise.as_ref().map(|at| format_smolstr!("{at}"))
}

fn domains(config: &Config) -> Domains {
    let services = spaces::services(config);
    let services = services
        .into_iter()
        .map(|(space, service)| (space, Arc::new(service)));
    let services: std::collections::BTreeMap<_, _> = services.collect();
    Domains::new(config.domains.iter().map(|domain| Domain {
        name: text(&domain.name),
        space: text(&domain.space),
        muc: domain.muc,
        mix: domain.mix,
        mirror: domain.mirror.as_ref().map(text),
        title: domain.title.clone(),
        contacts: contacts(&domain.contacts),
        service: services.get(&domain.space).cloned().unwrap_or_default(),
    }))
}

/// Only fields with addresses.
fn contacts(contacts: &config::Contacts) -> Vec<(&'static str, Vec<String>)> {
    let fields = contacts.fields().into_iter();
    fields
        .filter(|(_, addresses)| !addresses.is_empty())
        .map(|(field, addresses)| (field, addresses.to_vec()))
        .collect()
}

fn upstream(upstream: &Upstream) -> coven_front::Upstream {
    coven_front::Upstream {
        host: upstream.address.host().to_owned(),
        port: upstream.address.port(),
        domains: upstream.domains.iter().map(text).collect(),
        slots: slots(upstream),
        secrets: secrets(&upstream.secret),
        group: Group(SmolStr::new(&upstream.group)),
        barrier: match &upstream.barrier {
            Barrier::OwnDomain => coven_front::Barrier::OwnDomain,
            Barrier::Host(host) => coven_front::Barrier::Host(text(host)),
            Barrier::Off => coven_front::Barrier::Off,
        },
        hosts: upstream.hosts.iter().map(text).collect(),
        max_stanza_bytes: upstream.max_stanza_bytes,
        quirks: Quirks {
            ejabberd_pam: upstream.quirks.contains(&Quirk::EjabberdPam),
        },
    }
}

const fn slots(upstream: &Upstream) -> Slots {
    Slots {
        server_nodes: upstream.server_nodes,
        each: upstream.connections,
    }
}

fn secrets(source: &SecretSource) -> Secrets {
    let source = source.clone();
    Secrets::read_with(move || Ok(source.read()?.as_slice().to_vec()))
}

/// Unset when the limits are off.
fn rates(limits: &Limits) -> Option<Rates> {
    let rate = |rate: config::Rate, burst: std::num::NonZeroU32| Rate {
        count: rate.count,
        per: rate.per,
        burst: burst.get(),
    };
    limits.enabled.then(|| Rates {
        messages: rate(limits.message_rate, limits.message_burst),
        presence: rate(limits.presence_rate, limits.presence_burst),
        joins: rate(limits.join_rate, limits.join_burst),
        creations: rate(limits.create_rate, limits.create_burst),
        archive_pages: rate(limits.archive_page_rate, limits.archive_page_burst),
        rooms: limits.joined_per_user.get(),
    })
}

fn text(name: &DomainName) -> SmolStr {
    SmolStr::new(name.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::config::testing::load;

    fn of(more: &str) -> coven_front::Options {
        front(&load(&format!(
            "[[domain]]\nname = 'muc'\nprotocols = ['muc']\nmirror = 'mix'\ntitle = 'Talk'\n\
             contacts = {{ abuse = ['mailto:a@b'] }}\n\
             [[domain]]\nname = 'mix'\nprotocols = ['mix']\nmirror = 'muc'\n\
             [[upstream]]\naddress = '[::1]:5347'\ndomains = ['muc', 'mix']\nsecret = 'canary'\n{more}"
        )))
    }

    #[test]
    fn the_store_and_the_node_are_as_configured() {
        let text = "[[domain]]\nname = 'a'\nhistory = 7\n\
            [[upstream]]\naddress = 'a:1'\ndomains = ['a']\nsecret = 's'\n\
            [store]\nurl = 'sqlite:x.db'\ndurability = 'interval'\nshards = 8\n[node]\nidle-timeout = '5s'\n";
        let config = load(&format!(
            "{text}[archive]\nmax-age = 'forever'\nmax-count = 9"
        ));
        let Store::Sqlite(store) = store(&config.store, true) else {
            panic!("not in a file")
        };
        assert_eq!((store.path.to_str(), store.shards), (Some("/etc/x.db"), 8));
        assert_eq!(
            store.durability,
            sqlite::Durability::Interval(Duration::from_secs(1))
        );
        let node = node(&config);
        assert_eq!(
            (node.shards, node.idle_timeout),
            (8, Duration::from_secs(5))
        );
        assert_eq!((node.max_age, node.max_count), (None, Some(9)));
        assert_eq!(node.spaces["a"].max_history, 7);
        let year = super::node(&load(text)).max_age;
        assert_eq!(year, Some(Duration::from_secs(365 * 86_400)));
    }

    #[test]
    fn a_store_in_redis_is_as_configured() {
        let text = "[[domain]]\nname = 'a'\n[[upstream]]\naddress = 'a:1'\ndomains = ['a']\nsecret = 's'\n[store]\n";
        let of = |more: &str| match store(&load(&format!("{text}{more}")).store, true) {
            Store::Redis(options) => options,
            Store::Sqlite(options) => panic!("{options:?}"),
        };
        let plain = of("url = 'redis://h'");
        assert_eq!(
            (plain.url.as_str(), plain.prefix.as_str()),
            ("redis://h", "coven")
        );
        assert_eq!((plain.durability, plain.must_exist), (None, false));
        let full = of(
            "url = 'redis://:canary@h/1'\ndurability = 'replica-fsync'\nprefix = 'a.b'\nmust-exist = true\nshards = 8",
        );
        assert_eq!(
            (full.url.as_str(), full.prefix.as_str()),
            ("redis://:canary@h/1", "a.b")
        );
        assert_eq!(full.durability, Some(redis::Durability::ReplicaFsync));
        assert_eq!((full.must_exist, full.shards), (true, 8));
        assert!(!format!("{full:?}").contains("canary"));
    }

    #[test]
    fn the_options_can_work() {
        of("").check().unwrap();
    }

    #[test]
    fn domains_have_their_views_and_the_policies_of_their_space() {
        let options = of("");
        let (muc, mix) = (
            options.domains.get("muc").unwrap(),
            options.domains.get("mix").unwrap(),
        );
        assert_eq!(
            (muc.muc, muc.mix, mix.muc, mix.mix),
            (true, false, false, true)
        );
        assert_eq!((muc.space.as_str(), mix.space.as_str()), ("muc", "muc"));
        assert_eq!(
            (muc.mirror.as_deref(), mix.mirror.as_deref()),
            (Some("mix"), Some("muc"))
        );
        assert_eq!(
            (muc.title.as_str(), mix.title.as_str()),
            ("Talk", "Group chat")
        );
        assert_eq!(
            muc.contacts,
            [("abuse-addresses", vec!["mailto:a@b".to_owned()])]
        );
        assert!(muc.service.muc && muc.service.mix && Arc::ptr_eq(&muc.service, &mix.service));
    }

    #[test]
    fn upstreams_are_as_configured() {
        let options = of(
            "group = 'g'\nbarrier = 'h'\nhosts = ['h']\nmax-stanza = 20000\nquirks = ['ejabberd-pam']",
        );
        let upstream = &options.upstreams[0];
        assert_eq!(
            (
                upstream.host.as_str(),
                upstream.port,
                upstream.address().as_str()
            ),
            ("::1", 5347, "[::1]:5347")
        );
        assert_eq!(
            (upstream.group.0.as_str(), upstream.max_stanza_bytes),
            ("g", 20_000)
        );
        assert_eq!(upstream.barrier, coven_front::Barrier::Host("h".into()));
        assert_eq!(
            (upstream.hosts.as_slice(), upstream.domains.len()),
            ([SmolStr::new("h")].as_slice(), 2)
        );
        assert!(upstream.quirks.ejabberd_pam);
        assert_eq!(
            of("barrier = 'off'").upstreams[0].barrier,
            coven_front::Barrier::Off
        );
        assert_eq!(of("").upstreams[0].barrier, coven_front::Barrier::OwnDomain);
    }

    #[test]
    fn connections_to_several_nodes_of_a_server_are_spread() {
        let of = |more: &str| {
            let text = "[[domain]]\nname = 'a'\n[[upstream]]\naddress = 'h:1'\ndomains = ['a']\nsecret = 's'\n";
            attach(&load(&format!("{text}{more}")))
        };
        assert_eq!(of("")["main/h:1/a"], Attach::Standby);
        let second = "[[upstream]]\naddress = 'h:2'\ndomains = ['a']\nsecret = 's'\n";
        let both = of(second);
        assert_eq!(both["main/h:1/a"], Attach::Spread);
        assert_eq!(both["main/h:2/a"], Attach::Spread);
        let told = of(&format!("{second}attach = 'standby'"));
        assert_eq!(told["main/h:2/a"], Attach::Standby);
        let several = "attach = 'balanced'\nserver-nodes = 2\nconnections = 2";
        let balanced = of(several);
        let names: Vec<_> = balanced.keys().map(SmolStr::as_str).collect();
        assert_eq!(
            names,
            ["main/h:1#1/a", "main/h:1#2/a", "main/h:1#3/a", "main/h:1/a"]
        );
        assert!(balanced.values().all(|way| *way == Attach::Spread));
        let other = of(&format!("{second}group = 'other'"));
        assert_eq!(other["other/h:2/a"], Attach::Standby);
    }

    #[test]
    fn rates_are_on_unless_turned_off() {
        let rates = of("[limits]\nmessage-rate = '3/2s'\nmessage-burst = 7")
            .rates
            .unwrap();
        assert_eq!(
            rates.messages,
            Rate {
                count: 3,
                per: Duration::from_secs(2),
                burst: 7
            }
        );
        assert_eq!(
            rates.joins,
            Rate {
                count: 5,
                per: Duration::from_secs(1),
                burst: 100
            }
        );
        assert_eq!(of("[limits]\nenabled = false").rates, None);
    }

    #[test]
    fn s_63_options_show_no_secret() {
        assert!(!format!("{:#?}", of("")).contains("canary"));
    }
}

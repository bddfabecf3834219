//! What the file alone gives: defaults, values, and errors with their lines.

use std::path::Path;
use std::time::Duration;

use super::super::{
    Attach, Barrier, Create, Format, Limits, Listen, LockTimeout, MaxAge, Place, Quirk, Role,
    SecretSource, Whois,
};
use super::{SMALL, accepted, file, refused};

#[test]
fn a_small_file_gets_defaults_for_a_laptop() {
    let config = accepted(SMALL);
    assert_eq!(config.role, Role::All);
    assert!(
        matches!(&config.store.place, Place::Sqlite { path, interval: false } if path == Path::new("/etc/coven.db"))
    );
    assert_eq!(config.store.shards, 1024);
    assert_eq!(config.node.idle_timeout.0, Duration::from_secs(600));
    assert_eq!(
        config.archive.max_age,
        MaxAge::After(Duration::from_secs(365 * 86_400))
    );
    assert_eq!(config.archive.max_count, None);
    assert_eq!(
        config.http.listen,
        Listen::At("127.0.0.1:8088".parse().unwrap())
    );
    assert_eq!(config.log.format, Format::Text);
    assert_eq!(config.limits, Limits::default());
    assert!(config.limits.enabled);
}

#[test]
fn a_small_file_gets_a_domain_with_both_protocols() {
    let config = accepted(SMALL);
    let domain = &config.domains[0];
    assert!(domain.muc && domain.mix);
    assert_eq!(domain.space, domain.name);
    assert_eq!((domain.title.as_str(), domain.history), ("Group chat", 20));
    assert_eq!(
        domain.lock_timeout,
        LockTimeout::After(Duration::from_secs(3600))
    );
    assert_eq!(domain.create, Create::Anyone);
    assert!(domain.admins.is_empty());
    assert!(domain.defaults.public && !domain.defaults.persistent && !domain.defaults.members_only);
    assert_eq!(domain.defaults.whois, Whois::Moderators);
}

#[test]
fn a_small_file_gets_an_upstream_with_defaults() {
    let config = accepted(SMALL);
    let upstream = &config.upstreams[0];
    assert_eq!(upstream.address.to_string(), "127.0.0.1:5347");
    assert_eq!(
        (upstream.group.as_str(), upstream.attach),
        ("main", Attach::Auto)
    );
    assert_eq!(upstream.barrier, Barrier::OwnDomain);
    assert_eq!(upstream.max_stanza_bytes, 262_144);
    assert!(upstream.hosts.is_empty() && upstream.quirks.is_empty());
    assert!(
        matches!(&upstream.secret, SecretSource::Given(secrets) if secrets.as_slice().len() == 1)
    );
}

#[test]
fn every_setting_reaches_its_place() {
    let domain = "title = 'Talk'\nprotocols = ['mix']\nspace = 'talk'\ncreate = ['example.org', 'a@b']\nhistory = 0\nlock-timeout = '1h'\n\
        admins = ['admin@localhost']\ndefaults = { public = false, persistent = true, whois = 'anyone' }\n\
        contacts = { abuse = ['mailto:abuse@example.org'] }";
    let upstream = "group = 'a'\nattach = 'standby'\nbarrier = 'localhost'\nhosts = ['localhost']\n\
        max-stanza = '64KiB'\nquirks = ['ejabberd-pam']";
    let more = "[node]\nidle-timeout = '30s'\n[archive]\nmax-age = 'forever'\nmax-count = 10\n[http]\nlisten = 'off'\n\
        [limits]\nenabled = false\nmessage-rate = '3/s'\n[log]\nformat = 'json'\nlevel = 'debug'\n\
        [store]\nurl = 'sqlite:/var/lib/coven.db'\ndurability = 'interval'\nshards = 16";
    let config = accepted(&file(domain, upstream, more));
    let (domain, upstream) = (&config.domains[0], &config.upstreams[0]);
    assert_eq!(
        (domain.title.as_str(), domain.space.as_str(), domain.history),
        ("Talk", "talk", 0)
    );
    assert!(matches!(&domain.create, Create::Listed(all) if all.len() == 2));
    assert_eq!(domain.admins[0].as_str(), "admin@localhost");
    assert!(
        domain.defaults.persistent
            && !domain.defaults.public
            && domain.defaults.whois == Whois::Anyone
    );
    assert_eq!(domain.contacts.abuse, ["mailto:abuse@example.org"]);
    assert_eq!(
        (upstream.group.as_str(), upstream.attach),
        ("a", Attach::Standby)
    );
    assert_eq!(
        (upstream.max_stanza_bytes, upstream.quirks.as_slice()),
        (65_536, [Quirk::EjabberdPam].as_slice())
    );
    assert!(matches!(&upstream.barrier, Barrier::Host(host) if host.as_str() == "localhost"));
    assert_eq!(
        (config.http.listen, config.archive.max_age),
        (Listen::Off, MaxAge::Forever)
    );
    assert_eq!(
        (config.limits.enabled, config.limits.message_rate.count),
        (false, 3)
    );
    assert!(
        matches!(&config.store.place, Place::Sqlite { path, interval: true } if path == Path::new("/var/lib/coven.db"))
    );
    assert_eq!(config.store.shards, 16);
}

#[test]
fn unknown_keys_are_refused_with_line_and_key() {
    let problems = refused("[[domain]]\nname = 'a'\n\n[store]\nulr = 'sqlite:x'\n");
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with(":5: store.ulr: unknown field `ulr`, expected one of `url`"),
        "{problems:?}"
    );
    let problems = refused("[stroe]\n");
    assert!(
        problems[0].starts_with(":1: stroe: unknown field `stroe`"),
        "{problems:?}"
    );
    let problems = refused("[[domain]]\nname = 'a'\ndefaults = { pubic = true }\n");
    assert!(
        problems[0].starts_with(":3: domain[0].defaults.pubic: unknown field"),
        "{problems:?}"
    );
}

#[test]
fn wrong_values_are_refused_with_line_and_key() {
    for (text, expected) in [
        ("role = 'al'", ":1: role: \"al\" is not one of \"all\""),
        (
            "[node]\nidle-timeout = 10",
            ":2: node.idle-timeout: invalid type: integer `10`, expected a string",
        ),
        (
            "[node]\nidle-timeout = '10'",
            ":2: node.idle-timeout: \"10\" is not a duration",
        ),
        (
            "[[upstream]]\naddress = 'x'",
            ":2: upstream[0].address: \"x\" is not host:port",
        ),
        (
            "[[upstream]]\nhosts = [\n'ok',\n'a b']",
            ":2: upstream[0].hosts: \"a b\" is not a domain name",
        ),
        (
            "[[upstream]]\nquirks = ['slow']",
            ":2: upstream[0].quirks: \"slow\" is not one of \"ejabberd-pam\"",
        ),
        (
            "[[upstream]]\nmax-stanza = -1",
            ":2: upstream[0].max-stanza: -1 is not a size",
        ),
        (
            "[[domain]]\nprotocols = ['irc']",
            ":2: domain[0].protocols: \"irc\" is not one of \"muc\", \"mix\"",
        ),
        (
            "[[domain]]\nadmins = ['x']",
            ":2: domain[0].admins: \"x\" is not the bare JID of a person",
        ),
        (
            "[[domain]]\ncreate = 'me'",
            ":2: domain[0].create: \"me\" is not one of \"anyone\", \"local\", \"admins\", or a list",
        ),
        ("[[domain]]\ncreate = ['a@b/c']", ":2: domain[0].create"),
        (
            "[[domain]]\nlock-timeout = '1ms'",
            ":2: domain[0].lock-timeout: \"1ms\" is shorter than one second",
        ),
        (
            "[[domain]]\ndefaults = { allow-pm = 'me' }",
            ":2: domain[0].defaults.allow-pm: \"me\" is not one of \"anyone\"",
        ),
        (
            "[http]\nlisten = ':80'",
            ":2: http.listen: \":80\" is not an IP address with a port",
        ),
        (
            "[log]\nlevel = 'a=b=c'",
            ":2: log.level: \"a=b=c\" is not a log filter",
        ),
        (
            "[limits]\nmessage-rate = 5",
            ":2: limits.message-rate: invalid type",
        ),
        (
            "[archive]\nmax-count = 0",
            ":2: archive.max-count: invalid value: integer `0`, expected a nonzero u64",
        ),
        ("[store]\nshards = 65536", ":2: store.shards: invalid value"),
        (
            "[store]\nurl = 'coven.db'",
            ":2: store.url: the store is sqlite:PATH",
        ),
        ("x = [", ":1: "),
    ] {
        let problems = refused(text);
        assert!(problems[0].starts_with(expected), "{text}: {problems:?}");
    }
}

#[test]
fn how_many_streams_there_are_fits_the_way_they_are_opened() {
    let slots = |upstream: &str| {
        let config = accepted(&file("", upstream, ""));
        let upstream = &config.upstreams[0];
        (upstream.server_nodes.get(), upstream.connections.get())
    };
    assert_eq!(slots(""), (1, 1));
    assert_eq!(slots("server-nodes = 3"), (3, 1));
    assert_eq!(
        slots("attach = 'per-server-node'\nserver-nodes = 3"),
        (3, 1)
    );
    assert_eq!(slots("attach = 'balanced'\nserver-nodes = 3"), (3, 2));
    assert_eq!(slots("attach = 'balanced'\nconnections = 4"), (1, 4));
    let balanced = accepted(&file("", "attach = 'balanced'", ""));
    assert_eq!(balanced.upstreams[0].barrier, Barrier::Off);
    for (upstream, expected) in [
        (
            "attach = 'standby'\nserver-nodes = 2",
            "upstream[0].server-nodes: attach = \"standby\" has one stream",
        ),
        (
            "connections = 2",
            "upstream[0].connections: several streams",
        ),
        (
            "server-nodes = 65",
            "upstream[0].server-nodes: more than 64",
        ),
    ] {
        let problems = refused(&file("", upstream, ""));
        assert!(problems[0].contains(expected), "{problems:?}");
    }
}

#[test]
fn what_a_later_version_brings_is_refused() {
    let text = "[[domain]]\n[domain.defaults]\nallow-invites = false";
    let expected = ":3: domain[0].defaults.allow-invites: not in this version";
    assert_eq!(refused(text), [expected]);
}

#[test]
fn what_does_not_fit_the_kind_of_store_is_refused() {
    for (store, expected) in [
        (
            "durability = 'replica'",
            ":10: store.durability: a store in SQLite has \"sync\" or \"interval\"",
        ),
        (
            "prefix = 'coven'",
            ":10: store.prefix: only a store in Redis has it",
        ),
        (
            "must-exist = false",
            ":10: store.must-exist: only a store in Redis has it",
        ),
        (
            "url = 'redis://h'\ndurability = 'sync'",
            ":11: store.durability: a store in Redis has \"replica\", \"replica-fsync\" or \"primary\"",
        ),
        (
            "prefix = '{x}'",
            ":10: store.prefix: a prefix is 1 to 64 letters, digits or -_.:",
        ),
        (
            "url = 'redis+sentinel://:canary@h'",
            ":10: store.url: the address of the store cannot be used: the primary's name is missing: \
             redis+sentinel://host,host/name",
        ),
        (
            "url = 'redis+x://:canary@h'",
            ":10: store.url: the address of the store cannot be used: the scheme ends in +sentinel or +cluster, or has no +",
        ),
        (
            "url = 'redis+cluster://:canary@h:99999'",
            ":10: store.url: the address of the store cannot be used: ",
        ),
    ] {
        let problems = refused(&file("", "", &format!("[store]\n{store}")));
        assert!(problems[0].starts_with(expected), "{store}: {problems:?}");
        assert_eq!(problems.len(), 1, "{store}: {problems:?}");
        assert!(!problems[0].contains("canary"), "{problems:?}");
    }
}

#[test]
fn all_kinds_of_redis_are_accepted() {
    for (url, shown) in [
        ("redis://:canary@h:6380/1", "redis://h:6380/1"),
        ("rediss://u:canary@h", "rediss://h"),
        (
            "redis+sentinel://:canary@h,i:1/n",
            "redis+sentinel://h,i:1/n",
        ),
        ("redis+cluster://h,i", "redis+cluster://h,i"),
    ] {
        let config = accepted(&file("", "", &format!("[store]\nurl = '{url}'")));
        assert!(matches!(&config.store.place, Place::Redis(_)), "{url}");
        assert_eq!(config.store.to_string(), shown);
        assert!(!format!("{config:?}").contains("canary"));
    }
}

#[test]
fn s_63_no_error_shows_a_secret() {
    for upstream in [
        "secret = canary",
        "secret = \"canary",
        "secret = 'canary",
        "secret = \"canary\\q\"",
        "secret = ['canary', 1]",
        "secret = { canary = 1 }",
        "secret = 'canary'\nsecret = 'canary'",
        "secret = 'canary' 'canary'",
        "secret = 'canary'\nsecret-file = '/nowhere'",
        "secret = ['canary', '']",
        "secrett = 'canary'",
        "canary",
    ] {
        let text = format!(
            "[[domain]]\nname = 'a'\n[[upstream]]\naddress = 'a:1'\ndomains = ['a']\n{upstream}\n"
        );
        let problems = refused(&text);
        let shown = problems.join("\n");
        let shown = shown
            .strip_prefix(":6: upstream[0].secret.canary")
            .unwrap_or(&shown);
        assert!(
            !problems.is_empty() && !shown.contains("canary"),
            "{upstream}: {shown}"
        );
    }
}

#[test]
fn s_63_debug_of_a_configuration_shows_no_secret() {
    let config = accepted(SMALL);
    let shown = format!("{config:?} {config:#?}");
    assert!(
        shown.contains("127.0.0.1") && !shown.contains("canary"),
        "{shown}"
    );
}

//! What must hold between settings.

use super::super::SecretSource;
use super::{SMALL, accepted, file, refused};

/// A MUC and a MIX domain on one upstream; `muc` and `mix` are added to their sections.
fn pair(muc: &str, mix: &str) -> String {
    format!(
        "[[domain]]\nname = 'muc.localhost'\nprotocols = ['muc']\n{muc}\n\
         [[domain]]\nname = 'mix.localhost'\nprotocols = ['mix']\n{mix}\n\
         [[upstream]]\naddress = 'localhost:5347'\ndomains = ['muc.localhost', 'mix.localhost']\nsecret = 'canary'\n"
    )
}

#[test]
fn nothing_to_serve_is_refused() {
    let problems = refused("");
    assert_eq!(
        problems,
        [
            ": domain: at least one [[domain]] is needed",
            ": upstream: at least one [[upstream]] is needed"
        ]
    );
}

#[test]
fn needed_keys_are_asked_for() {
    let problems = refused("[[domain]]\n[[upstream]]\n");
    let expected = [
        ":1: domain[0]: it needs a name, for example name = \"chat.localhost\"",
        ":2: upstream[0]: it needs an address, for example address = \"127.0.0.1:5347\"",
        ":2: upstream[0]: it needs domains, for example domains = [\"chat.localhost\"]",
        ":2: upstream[0]: it needs secret or secret-file (or the variable COVEN_UPSTREAM__0__SECRET)",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn all_problems_are_reported_at_once() {
    let problems = refused(&file(
        "title = ''",
        "max-stanza = 1",
        "[node]\nidle-timeout = '0s'",
    ));
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn each_domain_needs_an_upstream_and_the_reverse() {
    let problems = refused(
        "[[domain]]\nname = 'a'\n[[domain]]\nname = 'b'\n\
         [[upstream]]\naddress = 'x:1'\nsecret = 's'\ndomains = ['a', 'c']\n",
    );
    let expected = [
        ":8: upstream[0].domains[1]: there is no [[domain]] with name = \"c\"",
        ":4: domain[1].name: no [[upstream]] has b in its domains",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn doubles_are_refused() {
    let twice = refused(&format!("{SMALL}[[domain]]\nname = 'Chat.Localhost'\n"));
    assert_eq!(twice, [":8: domain[1].name: chat.localhost is given twice"]);
    let same =
        "[[upstream]]\naddress = '127.0.0.1:5347'\ndomains = ['chat.localhost']\nsecret = 's'\n";
    let problems = refused(&format!("{SMALL}{same}"));
    assert_eq!(
        problems,
        [":9: upstream[1].domains[0]: chat.localhost is attached to 127.0.0.1:5347 twice"]
    );
}

#[test]
fn one_domain_may_be_attached_to_several_servers() {
    let more = "[[upstream]]\naddress = '127.0.0.1:5348'\ndomains = ['chat.localhost']\nsecret = 's'\ngroup = 'b'\n";
    assert_eq!(accepted(&format!("{SMALL}{more}")).upstreams.len(), 2);
}

#[test]
fn protocols_may_not_be_empty() {
    assert_eq!(
        refused(&file("protocols = []", "", "")),
        [":3: domain[0].protocols: at least one of \"muc\" and \"mix\" is needed"]
    );
}

#[test]
fn a_mirrored_pair_shares_the_space_of_the_muc_domain() {
    let config = accepted(&pair(
        "mirror = 'mix.localhost'",
        "mirror = 'muc.localhost'",
    ));
    let spaces: Vec<&str> = config
        .domains
        .iter()
        .map(|domain| domain.space.as_str())
        .collect();
    assert_eq!(spaces, ["muc.localhost", "muc.localhost"]);
    assert!(
        config.domains[0].muc
            && !config.domains[0].mix
            && config.domains[1].mix
            && !config.domains[1].muc
    );
}

#[test]
fn a_mirrored_pair_shares_what_one_of_them_says() {
    let muc = "mirror = 'mix.localhost'\nspace = 'rooms'\nadmins = ['a@b']\nhistory = 5";
    let config = accepted(&pair(
        muc,
        "mirror = 'muc.localhost'\ncreate = 'admins'\nlock-timeout = '1h'",
    ));
    let [muc, mix] = config.domains.as_slice() else {
        panic!("two domains")
    };
    assert_eq!(
        (&muc.space, &muc.admins, muc.history),
        (&mix.space, &mix.admins, mix.history)
    );
    assert_eq!(
        (&muc.create, muc.lock_timeout, &muc.defaults),
        (&mix.create, mix.lock_timeout, &mix.defaults)
    );
    assert_eq!(
        (muc.space.as_str(), muc.history, muc.admins.len()),
        ("rooms", 5, 1)
    );
}

#[test]
fn a_mirrored_pair_may_not_contradict_itself() {
    let problems = refused(&pair(
        "mirror = 'mix.localhost'\nhistory = 5",
        "mirror = 'muc.localhost'\nhistory = 6",
    ));
    assert_eq!(problems.len(), 2);
    assert!(
        problems[0].starts_with(":5: domain[0].history: the two domains of a mirrored pair differ"),
        "{problems:?}"
    );
}

#[test]
fn separate_domains_have_separate_spaces() {
    let config = accepted(&pair("", ""));
    assert_ne!(config.domains[0].space, config.domains[1].space);
    let problems = refused(&pair("space = 'x'", "space = 'x'"));
    let expected =
        ":8: domain[1].space: x is the space of muc.localhost already, which is not its mirror";
    assert_eq!(problems, [expected]);
}

#[test]
fn a_mirror_must_point_back() {
    for (muc, mix) in [
        ("mirror = 'mix.localhost'", ""),
        ("mirror = 'other.localhost'", ""),
        ("mirror = 'muc.localhost'", ""),
    ] {
        let problems = refused(&pair(muc, mix));
        assert!(
            problems[0].contains("must be another [[domain]] whose mirror is this one"),
            "{problems:?}"
        );
    }
}

#[test]
fn a_mirror_must_serve_the_other_protocol() {
    let text = pair("mirror = 'mix.localhost'", "mirror = 'muc.localhost'")
        .replace("['mix']", "['muc', 'mix']");
    let problems = refused(&text);
    assert!(
        problems[0].starts_with(":4: domain[0].mirror: of a mirrored pair one serves"),
        "{problems:?}"
    );
}

#[test]
fn exactly_one_secret_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "from-file\n").unwrap();
    let line = format!("secret-file = '{}'", path.display());
    let config = accepted(&SMALL.replace("secret = 'canary'", &line));
    assert!(matches!(&config.upstreams[0].secret, SecretSource::File(file) if *file == path));

    let problems = refused(&file("", &line, ""));
    assert_eq!(
        problems,
        [":8: upstream[0].secret-file: give either secret or secret-file, not both"]
    );
    let problems = refused(&SMALL.replace("secret = 'canary'", "secret-file = '/nowhere/secret'"));
    assert!(
        problems[0].starts_with(":6: upstream[0].secret-file: cannot read /nowhere/secret"),
        "{problems:?}"
    );
    for empty in ["''", "[]", "['a', '']"] {
        let problems = refused(&SMALL.replace("'canary'", empty));
        assert_eq!(problems, [":6: upstream[0].secret: it is empty"], "{empty}");
    }
}

#[test]
fn bounds_are_kept() {
    for (domain, upstream, more, expected) in [
        (
            "",
            "max-stanza = 9999",
            "",
            "upstream[0].max-stanza: 9999 is outside 10000 to 524288 bytes",
        ),
        (
            "",
            "max-stanza = '1MiB'",
            "",
            "upstream[0].max-stanza: 1048576 is outside 10000 to 524288 bytes",
        ),
        (
            "",
            "group = 'a b'",
            "",
            "upstream[0].group: 1 to 64 ASCII letters",
        ),
        (
            "title = 'a\tb'",
            "",
            "",
            "domain[0].title: 1 to 255 characters",
        ),
        (
            "contacts = { abuse = ['a@b'] }",
            "",
            "",
            "domain[0].contacts.abuse[0]: \"a@b\" is not a URI",
        ),
        ("history = 21", "", "", "domain[0].history: more than 20"),
        (
            "",
            "",
            "[node]\nidle-timeout = '1ms'",
            "node.idle-timeout: shorter than one second",
        ),
        (
            "",
            "",
            "[archive]\nmax-age = '1s'",
            "archive.max-age: shorter than one minute",
        ),
        (
            "",
            "",
            "[store]\nshards = 0",
            "store.shards: at least one shard is needed",
        ),
    ] {
        let problems = refused(&file(domain, upstream, more));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(expected), "{expected}: {problems:?}");
    }
}

#[test]
fn hosts_belong_to_one_group_and_are_not_ours() {
    let problems = refused(&file("", "hosts = ['chat.localhost']", ""));
    assert!(
        problems[0]
            .ends_with("chat.localhost is a [[domain]] of this service, not a domain of users"),
        "{problems:?}"
    );
    let more = "[[upstream]]\naddress = 'x:1'\ndomains = ['chat.localhost']\nsecret = 's'\nhosts = ['h']\ngroup = 'b'";
    let problems = refused(&file("", "hosts = ['h']", more));
    assert_eq!(
        problems,
        [":13: upstream[1].hosts[0]: h is a host of the group main already"]
    );
}

#[test]
fn creation_by_local_users_needs_to_know_who_is_local() {
    let problems = refused(&file("create = 'local'", "", ""));
    assert!(
        problems[0].starts_with(":3: domain[0].create: \"local\" needs hosts"),
        "{problems:?}"
    );
    accepted(&file("create = 'local'", "hosts = ['localhost']", ""));
}

/// covers: MIX-PAMC-09
#[test]
fn mix_pamc_09_the_quirk_needs_hosts_and_a_domain_without_muc() {
    let quirk = "quirks = ['ejabberd-pam']";
    let problems = refused(&file("", quirk, ""));
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with(":8: upstream[0].quirks: \"ejabberd-pam\" needs hosts"),
        "{problems:?}"
    );
    let why =
        ":8: upstream[0].quirks: \"ejabberd-pam\" does not fit chat.localhost, which serves both";
    assert!(problems[1].starts_with(why), "{problems:?}");
    let users = format!("hosts = ['localhost']\n{quirk}\n");
    assert_eq!(refused(&file("", &users, "")).len(), 1);
    accepted(&file("protocols = ['mix']", &users, ""));
    let mirrored = pair("mirror = 'mix.localhost'", "mirror = 'muc.localhost'");
    accepted(&format!("{mirrored}{users}"));
}

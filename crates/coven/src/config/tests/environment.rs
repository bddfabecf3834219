//! What environment variables change.

use secrecy::ExposeSecret;

use super::super::{Listen, Role, SecretSource};
use super::{SMALL, load};

#[test]
fn variables_win_over_the_file() {
    let loaded = load(
        SMALL,
        &[
            ("COVEN_STORE__URL", "sqlite:other.db"),
            ("COVEN_STORE__SHARDS", "16"),
            ("COVEN_LIMITS__ENABLED", "false"),
            ("COVEN_HTTP__LISTEN", "off"),
            ("COVEN_NODE__IDLE_TIMEOUT", "1h"),
            ("COVEN_ROLE", "all"),
            ("COVEN_DOMAIN__0__DEFAULTS__MEMBERS_ONLY", "true"),
            ("PATH", "/bin"),
        ],
    );
    let Loaded { config, warnings } = loaded.unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.store.to_string(), "/etc/other.db");
    assert_eq!(
        (config.store.shards, config.limits.enabled, config.role),
        (16, false, Role::All)
    );
    assert_eq!(
        (config.http.listen, config.node.idle_timeout.0.as_secs()),
        (Listen::Off, 3600)
    );
    assert!(config.domains[0].defaults.members_only);
}

#[test]
fn lists_are_set_by_index() {
    let config = load(
        SMALL,
        &[
            ("COVEN_UPSTREAM__0__SECRET", "123456"),
            ("COVEN_UPSTREAM__0__HOSTS__10", "k"),
            ("COVEN_UPSTREAM__0__HOSTS__0", "a"),
            ("COVEN_UPSTREAM__0__HOSTS__1", "b"),
            ("COVEN_UPSTREAM__0__HOSTS__2", "c"),
            ("COVEN_UPSTREAM__0__HOSTS__3", "d"),
            ("COVEN_UPSTREAM__0__HOSTS__4", "e"),
            ("COVEN_UPSTREAM__0__HOSTS__5", "f"),
            ("COVEN_UPSTREAM__0__HOSTS__6", "g"),
            ("COVEN_UPSTREAM__0__HOSTS__7", "h"),
            ("COVEN_UPSTREAM__0__HOSTS__8", "i"),
            ("COVEN_UPSTREAM__0__HOSTS__9", "j"),
        ],
    );
    let config = config.unwrap().config;
    assert_eq!(config.upstreams[0].hosts.len(), 11);
    assert_eq!(config.upstreams[0].hosts[10].as_str(), "k");
    assert_eq!(secrets(&config.upstreams[0].secret), ["123456"]);
}

#[test]
fn a_whole_configuration_can_come_from_variables() {
    let config = load(
        "",
        &[
            ("COVEN_DOMAIN__0__NAME", "chat.localhost"),
            ("COVEN_UPSTREAM__0__ADDRESS", "localhost:5347"),
            ("COVEN_UPSTREAM__0__DOMAINS__0", "chat.localhost"),
            ("COVEN_UPSTREAM__0__SECRET__0", "new"),
            ("COVEN_UPSTREAM__0__SECRET__1", "old"),
        ],
    );
    assert_eq!(
        secrets(&config.unwrap().config.upstreams[0].secret),
        ["new", "old"]
    );
}

#[test]
fn a_secret_missing_in_the_file_can_come_from_a_variable() {
    let text = SMALL.replace("secret = 'canary'", "");
    load(&text, &[("COVEN_UPSTREAM__0__SECRET", "s")]).unwrap();
}

#[test]
fn problems_name_the_variable() {
    for (name, value, expected) in [
        (
            "COVEN_STORE__ULR",
            "x",
            "COVEN_STORE__ULR: unknown field `ulr`",
        ),
        (
            "COVEN_STROE__URL",
            "x",
            "COVEN_STROE__URL: unknown field `stroe`",
        ),
        (
            "COVEN_STORE__URL",
            "redis+sentinel://:canary@h",
            "COVEN_STORE__URL: the address of the store cannot be used: the primary's name is missing",
        ),
        (
            "COVEN_STORE__SHARDS",
            "canary",
            "COVEN_STORE__SHARDS: u16 is needed here",
        ),
        (
            "COVEN_STORE__SHARDS",
            "70000",
            "COVEN_STORE__SHARDS: invalid value: integer `70000`",
        ),
        (
            "COVEN_STORE__PREFIX",
            "canary{}",
            "COVEN_STORE__PREFIX: a prefix is 1 to 64 letters, digits or -_.:",
        ),
        (
            "COVEN_CLUSTER__LISTEN",
            "canary",
            "COVEN_CLUSTER__LISTEN: an IP address with a port is needed here, for example \"127.0.0.1:7400\"",
        ),
        (
            "COVEN_ROLE",
            "both",
            "COVEN_ROLE: \"both\" is not one of \"all\", \"node\", \"front\"",
        ),
        (
            "COVEN_LIMITS__ENABLED",
            "canary",
            "COVEN_LIMITS__ENABLED: a boolean is needed here",
        ),
        (
            "COVEN_UPSTREAM__0__HOSTS",
            "canary",
            "COVEN_UPSTREAM__0__HOSTS: a sequence is needed here",
        ),
        (
            "COVEN_UPSTREAM__0__SECRET__X",
            "canary",
            "COVEN_UPSTREAM__0__SECRET__X: a secret is text in quotes",
        ),
        (
            "COVEN_UPSTREAM__2__SECRET",
            "canary",
            "COVEN_UPSTREAM__2__SECRET: there is no place 2: the next one is 1",
        ),
        (
            "COVEN_UPSTREAM__0__MAX_STANZA",
            "1",
            "COVEN_UPSTREAM__0__MAX_STANZA: upstream[0].max-stanza: 1 is outside",
        ),
        (
            "COVEN_UPSTREAM__0__SECRET",
            "",
            "COVEN_UPSTREAM__0__SECRET: upstream[0].secret: it is empty",
        ),
        ("COVEN_UPSTREAM", "canary", ""),
    ] {
        match load(SMALL, &[(name, value)]) {
            Err(problems) => {
                assert!(
                    problems[0].starts_with(expected) && !expected.is_empty(),
                    "{name}={value}: {problems:?}"
                );
                assert!(!problems[0].contains("canary"), "{problems:?}");
            }
            Ok(loaded) => assert!(
                expected.is_empty() && loaded.warnings.len() == 1,
                "{name}={value}"
            ),
        }
    }
}

#[test]
fn one_bad_variable_does_not_hide_another() {
    let problems = load(
        SMALL,
        &[
            ("COVEN_NODE__X", "1"),
            ("COVEN_STORE__SHARDS", "16"),
            ("COVEN_STORE__Y", "1"),
        ],
    );
    assert_eq!(problems.unwrap_err().len(), 2);
}

#[test]
fn variables_of_others_are_left_alone() {
    let loaded = load(
        SMALL,
        &[
            ("COVEN_SERVICE_HOST", "10.0.0.1"),
            ("COVEN_PORT", "tcp://10.0.0.1:8088"),
            ("COVEN_NODE_PORT_7400_TCP_ADDR", "10.0.0.1"),
            ("COVEN_CONFIG", "coven.toml"),
            ("COVENANT__X", "1"),
        ],
    );
    assert!(loaded.unwrap().warnings.is_empty());
    let loaded = load(SMALL, &[("COVEN_ROL", "all")]);
    assert_eq!(
        loaded.unwrap().warnings,
        ["COVEN_ROL is not a setting of coven and has no effect"]
    );
}

fn secrets(source: &SecretSource) -> Vec<String> {
    let secrets = source.read().unwrap();
    secrets
        .as_slice()
        .iter()
        .map(|secret| secret.expose_secret().to_owned())
        .collect()
}

use super::super::Loaded;

//! Roles, and the links between them.

use std::path::Path;

use secrecy::ExposeSecret;

use super::super::{Role, Security};
use super::{SMALL, accepted, load, refused};

fn of(role: &str, more: &str) -> String {
    format!("role = '{role}'\n{SMALL}[store]\nurl = 'redis://h'\n{more}")
}

#[test]
fn a_role_of_a_cluster_needs_no_section() {
    let node = accepted(&of("node", ""));
    assert_eq!(node.role, Role::Node);
    assert_eq!(node.cluster.listen, "127.0.0.1:7400".parse().unwrap());
    assert_eq!(node.cluster.advertise, None);
    assert_eq!(node.cluster.security, Security::Plain { trusted: false });
    assert_eq!(accepted(&of("front", "")).role, Role::Front);
}

#[test]
fn links_are_as_configured() {
    let text = "[cluster]\nlisten = '[::]:1'\nadvertise = 'pod-0:2'\nca = 'ca.pem'\ncert = '/c'\nkey = 'k'";
    let cluster = accepted(&of("node", text)).cluster;
    assert_eq!(cluster.listen, "[::]:1".parse().unwrap());
    assert_eq!(cluster.advertise.unwrap().to_string(), "pod-0:2");
    let Security::Mutual { ca, cert, key } = cluster.security else {
        panic!("plain")
    };
    assert_eq!(
        (ca.as_path(), cert.as_path(), key.as_path()),
        (
            Path::new("/etc/ca.pem"),
            Path::new("/c"),
            Path::new("/etc/k")
        )
    );
    let plain = accepted(&of(
        "node",
        "[cluster]\nlisten = '10.0.0.1:1'\nplain = true",
    ));
    assert_eq!(plain.cluster.security, Security::Plain { trusted: true });
}

#[test]
fn a_process_of_a_cluster_meets_others_in_redis() {
    for role in ["node", "front"] {
        let problems = refused(&format!("role = '{role}'\n{SMALL}"));
        assert!(
            problems[0].contains("role: nodes and front-ends need a store in Redis"),
            "{problems:?}"
        );
    }
    let alone = refused(&of("all", "[cluster]\nlisten = '127.0.0.1:1'"));
    assert!(alone[0].contains("cluster: only the roles"), "{alone:?}");
}

#[test]
fn links_that_cannot_be_are_refused() {
    for (section, expected) in [
        (
            "listen = '0.0.0.0:1'\nplain = true",
            "cluster.listen: front-ends cannot reach",
        ),
        (
            "listen = '10.0.0.1:1'",
            "cluster.listen: links beyond loopback need ca, cert and key",
        ),
        (
            "ca = 'a'\nkey = 'b'",
            "cluster: ca, cert and key belong together",
        ),
        (
            "ca = 'a'\nkey = 'b'\ncert = 'c'\nplain = true",
            "cluster.plain: there are certificates",
        ),
        (
            "listen = 'localhost:1'",
            "cluster.listen: an IP address with a port is needed",
        ),
        (
            "advertise = 'h'",
            "cluster.advertise: \"h\" is not host:port",
        ),
        ("x = 1", "unknown field `x`"),
    ] {
        let problems = refused(&of("node", &format!("[cluster]\n{section}")));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(expected), "{section}: {problems:?}");
    }
    // A front-end listens nowhere: the same file serves it.
    accepted(&of("front", "[cluster]\nlisten = '0.0.0.0:1'"));
}

#[test]
fn s_63_the_token_of_administrators_is_read_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let with = |role: &str, token: &str| {
        std::fs::write(&file, token).unwrap();
        of(
            role,
            &format!("[http]\nadmin-token-file = '{}'", file.display()),
        )
    };
    let config = accepted(&with("front", " canary canary 12\n"));
    assert_eq!(
        config.admin_token.as_ref().unwrap().expose_secret(),
        "canary canary 12"
    );
    assert!(!format!("{config:?}").contains("canary"));
    assert!(
        accepted(&with("all", "canary canary 12"))
            .admin_token
            .is_some()
    );
    assert!(refused(&with("front", "short"))[0].contains("at least 16 characters"));
    std::fs::remove_file(&file).unwrap();
    let gone = of(
        "node",
        &format!("[http]\nadmin-token-file = '{}'", file.display()),
    );
    assert!(refused(&gone)[0].contains("http.admin-token-file: cannot read"));
}

#[test]
fn links_can_be_set_by_variables() {
    let variables = [
        ("COVEN_CLUSTER__LISTEN", "[::]:7400"),
        ("COVEN_CLUSTER__ADVERTISE", "[::1]:7400"),
        ("COVEN_CLUSTER__PLAIN", "true"),
        ("COVEN_ROLE", "node"),
    ];
    let config = load(&of("front", ""), &variables).expect("accepted").config;
    assert_eq!(config.role, Role::Node);
    assert_eq!(config.cluster.advertise.unwrap().to_string(), "[::1]:7400");
    assert_eq!(config.cluster.security, Security::Plain { trusted: true });
}

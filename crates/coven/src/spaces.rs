//! From the configuration of domains to the policies of spaces that channels decide by.

use std::collections::BTreeMap;

use coven_core::BareJid;
use coven_core::people::visibility::Visibility;
use coven_core::settings::config::{Config as ChannelConfig, PrivateMessages};
use coven_core::settings::service::{Creation, Service};

use crate::config::{AllowPm, Config, Create, Defaults, Domain, DomainName, LockTimeout, Whois};

/// The policies of each space.
#[must_use]
pub fn services(config: &Config) -> BTreeMap<DomainName, Service> {
    let mut services = BTreeMap::new();
    for domain in &config.domains {
        let service = service(config, domain);
        let views: &mut Service = services.entry(domain.space.clone()).or_insert(service);
        views.muc |= domain.muc;
        views.mix |= domain.mix;
    }
    services
}

/// What one domain says about its space; its mirror says the same but for the views.
fn service(config: &Config, domain: &Domain) -> Service {
    Service {
        muc: domain.muc,
        mix: domain.mix,
        one_domain: domain.mirror.is_none(),
        creation: creation(config, domain),
        admins: domain.admins.iter().map(bare).collect(),
        defaults: defaults(domain),
        lock_timeout_ms: match domain.lock_timeout {
            LockTimeout::Off => None,
            LockTimeout::After(time) => Some(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        },
        max_history: u32::from(domain.history),
        lock_nicks: domain.lock_nicks,
        max_owned: config
            .limits
            .enabled
            .then(|| config.limits.rooms_per_user.get()),
        ..Service::default()
    }
}

fn creation(config: &Config, domain: &Domain) -> Creation {
    match &domain.create {
        Create::Anyone => Creation::Anyone,
        Create::Admins => Creation::Admins,
        Create::Local => Creation::Listed(local(config, domain)),
        Create::Listed(listed) => Creation::Listed(listed.iter().map(bare).collect()),
    }
}

/// The users' domains of the upstreams of a space: its mirror's too, since both show the same channels.
fn local(config: &Config, domain: &Domain) -> Vec<BareJid> {
    let ours = |name: &DomainName| *name == domain.name || Some(name) == domain.mirror.as_ref();
    let upstreams = config
        .upstreams
        .iter()
        .filter(|upstream| upstream.domains.iter().any(ours));
    let mut hosts: Vec<&DomainName> = upstreams.flat_map(|upstream| &upstream.hosts).collect();
    hosts.sort();
    hosts.dedup();
    hosts
        .into_iter()
        .map(|host| BareJid::from_normalised(host.as_str()))
        .collect()
}

fn defaults(domain: &Domain) -> ChannelConfig {
    let Defaults {
        public,
        persistent,
        members_only,
        moderated,
        whois,
        ..
    } = domain.defaults;
    ChannelConfig {
        public,
        persistent,
        members_only,
        moderated,
        visibility: match whois {
            Whois::Moderators => Visibility::Hidden,
            Whois::Anyone => Visibility::Visible,
        },
        change_subject: domain.defaults.change_subject,
        private_messages: match domain.defaults.allow_pm {
            AllowPm::Anyone => PrivateMessages::Anyone,
            AllowPm::Participants => PrivateMessages::Participants,
            AllowPm::Moderators => PrivateMessages::Moderators,
            AllowPm::None => PrivateMessages::None,
        },
        max_users: domain.defaults.max_users.map(Into::into),
        max_history: u32::from(domain.history),
        ..ChannelConfig::default()
    }
}

fn bare(jid: &jid::BareJid) -> BareJid {
    BareJid::from_normalised(jid.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::config::testing::load;

    fn of(domains: &str, upstream: &str) -> BTreeMap<String, Service> {
        let upstream =
            format!("[[upstream]]\naddress = 'localhost:5347'\nsecret = 's'\n{upstream}");
        let services = services(&load(&format!("{domains}\n{upstream}")));
        services
            .into_iter()
            .map(|(space, service)| (space.to_string(), service))
            .collect()
    }

    fn person(text: &str) -> BareJid {
        BareJid::parse(text).unwrap()
    }

    #[test]
    fn a_plain_domain_has_the_defaults_of_the_core() {
        let all = of("[[domain]]\nname = 'a'", "domains = ['a']");
        let expected = Service {
            max_owned: Some(100),
            ..Service::default()
        };
        assert_eq!(all["a"], expected);
    }

    #[test]
    fn a_mirrored_pair_is_one_space_with_both_views() {
        let pair = "[[domain]]\nname = 'mix'\nprotocols = ['mix']\nmirror = 'muc'\n\
            [[domain]]\nname = 'muc'\nprotocols = ['muc']\nmirror = 'mix'";
        let all = of(pair, "domains = ['muc', 'mix']");
        assert_eq!(all.len(), 1);
        assert!(all["muc"].muc && all["muc"].mix && !all["muc"].one_domain);
    }

    #[test]
    fn muc_admin_08_creation_is_limited_as_configured() {
        let of = |create: &str| {
            let domain = format!("[[domain]]\nname = 'a'\nadmins = ['admin@h']\ncreate = {create}");
            of(&domain, "domains = ['a']\nhosts = ['h']")["a"].clone()
        };
        for (create, allowed, refused) in [
            ("'admins'", "admin@h", "user@h"),
            ("'local'", "user@h", "user@elsewhere"),
            ("['x@y', 'z']", "x@y", "w@y"),
            ("['x@y', 'z']", "somebody@z", "user@h"),
        ] {
            let service = of(create);
            assert!(service.may_create(&person(allowed)), "{create}: {allowed}");
            assert!(!service.may_create(&person(refused)), "{create}: {refused}");
        }
        assert!(of("'anyone'").may_create(&person("user@elsewhere")));
    }

    #[test]
    fn the_defaults_of_channels_are_those_of_the_domain() {
        let domain = "[[domain]]\nname = 'a'\nhistory = 3\nlock-timeout = '2s'\nlock-nicks = true\n[domain.defaults]\npublic = false\n\
            persistent = true\nmembers-only = true\nmoderated = true\nwhois = 'anyone'\nchange-subject = true\n\
            allow-pm = 'none'\nmax-users = 5";
        let service = of(domain, "domains = ['a']")["a"].clone();
        assert_eq!(
            (service.max_history, service.lock_timeout_ms),
            (3, Some(2000))
        );
        assert!(service.lock_nicks);
        let expected = ChannelConfig {
            public: false,
            persistent: true,
            members_only: true,
            moderated: true,
            visibility: Visibility::Visible,
            change_subject: true,
            private_messages: PrivateMessages::None,
            max_users: Some(5),
            max_history: 3,
            ..ChannelConfig::default()
        };
        assert_eq!(service.defaults, expected);
    }

    #[test]
    fn muc_err_09_who_may_own_how_many_is_a_limit_like_others() {
        let of = |limits: &str| {
            let domain = format!("[[domain]]\nname = 'a'\n[limits]\n{limits}");
            of(&domain, "domains = ['a']")["a"].max_owned
        };
        assert_eq!(of("rooms-per-user = 7"), Some(7));
        assert_eq!(of("enabled = false\nrooms-per-user = 7"), None);
    }

    #[test]
    fn muc_create_11_rooms_can_be_open_at_once() {
        let all = of(
            "[[domain]]\nname = 'a'\nlock-timeout = 'off'",
            "domains = ['a']",
        );
        assert_eq!(all["a"].lock_timeout_ms, None);
    }
}

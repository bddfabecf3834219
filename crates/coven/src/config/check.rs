//! What must hold between sections, and how problems are collected.

use std::collections::BTreeMap;
use std::path::Path;

use super::Config;
use super::domain::{self, Create, Domain};
use super::file::{File, Role};
use super::place::{Places, Problem};
use super::store::Place;
use super::upstream::{Quirk, Upstream, UpstreamSection};
use super::value::{DomainName, Size};

/// Collects what is wrong.
pub(super) struct Checker<'a> {
    places: &'a Places,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    /// Notes that the value of `key` cannot be accepted.
    pub(super) fn refuse(&mut self, key: &str, why: impl Into<String>) {
        self.problems.push(self.places.problem(key, why));
    }
}

/// Checks everything; all problems are reported at once.
pub(super) fn resolve(file: File, path: &Path, places: &Places) -> Result<Config, Vec<Problem>> {
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let mut checker = Checker {
        places,
        problems: Vec::new(),
    };
    let domains = domain::resolve(&file.domain, &mut checker);
    let upstreams = upstreams(&file.upstream, base, &mut checker);
    check_spaces(&domains, &mut checker);
    check_served(&file, &mut checker);
    check_doubles(&file.upstream, &mut checker);
    check_hosts(&file, &mut checker);
    check_create(&domains, &upstreams, &mut checker);
    check_quirks(&domains, &upstreams, &mut checker);
    let mut store = file.store.clone().resolve(base, &mut checker);
    match &mut store.place {
        Place::Redis(redis) => {
            redis.archive_bytes = file.archive.max_bytes.map(|Size(bytes)| bytes as u64);
        }
        Place::Sqlite { .. } if file.archive.max_bytes.is_some() => {
            let why = "only a store in Redis has it: use max-age or max-count";
            checker.refuse("archive.max-bytes", why);
        }
        Place::Sqlite { .. } => {}
    }
    check_role(&file, &store.place, &mut checker);
    let section = file.cluster.clone().unwrap_or_default();
    let cluster = section.resolve(base, file.role == Role::Node, &mut checker);
    let admin_token = file.http.token(base, &mut checker);
    file.node.check(&mut checker);
    file.archive.check(&mut checker);
    if !checker.problems.is_empty() {
        return Err(checker.problems);
    }
    let File {
        role,
        node,
        archive,
        http,
        limits,
        log,
        ..
    } = file;
    Ok(Config {
        role,
        store,
        domains,
        upstreams,
        cluster,
        node,
        archive,
        http,
        admin_token,
        limits,
        log,
    })
}

/// Processes of a cluster meet in Redis; a process that is alone has no links (design §9).
fn check_role(file: &File, place: &Place, checker: &mut Checker<'_>) {
    match (file.role, place) {
        (Role::All, _) if file.cluster.is_some() => {
            let why = "only the roles \"node\" and \"front\" have links";
            checker.refuse("cluster", why);
        }
        (Role::Node | Role::Front, Place::Sqlite { .. }) => {
            let why = "nodes and front-ends need a store in Redis: give its address as [store] url";
            checker.refuse("role", why);
        }
        _ => {}
    }
}

fn upstreams(
    sections: &[UpstreamSection],
    base: &Path,
    checker: &mut Checker<'_>,
) -> Vec<Upstream> {
    if sections.is_empty() {
        checker.refuse("upstream", "at least one [[upstream]] is needed");
    }
    let resolved = sections.iter().enumerate();
    resolved
        .filter_map(|(index, section)| section.resolve(&upstream_key(index), base, checker))
        .collect()
}

fn upstream_key(index: usize) -> String {
    format!("upstream[{index}]")
}

/// A space belongs to one domain or to one mirrored pair.
fn check_spaces(domains: &[Domain], checker: &mut Checker<'_>) {
    let mut owners: BTreeMap<&DomainName, &Domain> = BTreeMap::new();
    for (index, domain) in domains.iter().enumerate() {
        match owners.get(&domain.space) {
            Some(owner) if owner.mirror.as_ref() != Some(&domain.name) => {
                let why = format!(
                    "{} is the space of {} already, which is not its mirror",
                    domain.space, owner.name
                );
                checker.refuse(&format!("domain[{index}].space"), why);
            }
            Some(_) => {}
            None => drop(owners.insert(&domain.space, domain)),
        }
    }
}

/// Each domain has an upstream and the reverse.
fn check_served(file: &File, checker: &mut Checker<'_>) {
    let known = |name: &DomainName| {
        file.domain
            .iter()
            .any(|domain| domain.name.as_ref() == Some(name))
    };
    for (at, upstream) in file.upstream.iter().enumerate() {
        for (index, name) in upstream
            .domains
            .iter()
            .enumerate()
            .filter(|(_, name)| !known(name))
        {
            let why = format!("there is no [[domain]] with name = \"{name}\"");
            checker.refuse(&format!("upstream[{at}].domains[{index}]"), why);
        }
    }
    for (index, domain) in file.domain.iter().enumerate() {
        let Some(name) = &domain.name else { continue };
        if !file
            .upstream
            .iter()
            .any(|upstream| upstream.domains.contains(name))
        {
            checker.refuse(
                &format!("domain[{index}].name"),
                format!("no [[upstream]] has {name} in its domains"),
            );
        }
    }
}

/// One stream per upstream and domain: the same address takes a domain once.
fn check_doubles(upstreams: &[UpstreamSection], checker: &mut Checker<'_>) {
    let mut seen = std::collections::BTreeSet::new();
    for (at, upstream) in upstreams.iter().enumerate() {
        let Some(address) = &upstream.address else {
            continue;
        };
        for (index, name) in upstream.domains.iter().enumerate() {
            if !seen.insert((address.to_string(), name)) {
                let key = format!("upstream[{at}].domains[{index}]");
                checker.refuse(&key, format!("{name} is attached to {address} twice"));
            }
        }
    }
}

/// A users' domain belongs to one group and is none of ours.
fn check_hosts(file: &File, checker: &mut Checker<'_>) {
    let mut groups: BTreeMap<&DomainName, &str> = BTreeMap::new();
    let ours = |name: &DomainName| {
        file.domain
            .iter()
            .any(|domain| domain.name.as_ref() == Some(name))
    };
    for (at, upstream) in file.upstream.iter().enumerate() {
        for (index, host) in upstream.hosts.iter().enumerate() {
            let key = format!("upstream[{at}].hosts[{index}]");
            if ours(host) {
                checker.refuse(
                    &key,
                    format!("{host} is a [[domain]] of this service, not a domain of users"),
                );
            }
            let group = groups.entry(host).or_insert(&upstream.group);
            if *group != upstream.group {
                checker.refuse(
                    &key,
                    format!("{host} is a host of the group {group} already"),
                );
            }
        }
    }
}

/// `create = "local"` needs to know who is local.
fn check_create(domains: &[Domain], upstreams: &[Upstream], checker: &mut Checker<'_>) {
    for (index, domain) in domains
        .iter()
        .enumerate()
        .filter(|(_, domain)| domain.create == Create::Local)
    {
        let serving = |upstream: &&Upstream| upstream.domains.contains(&domain.name);
        if upstreams
            .iter()
            .filter(serving)
            .any(|upstream| upstream.hosts.is_empty())
        {
            let why = "\"local\" needs hosts = [...] in each [[upstream]] of this domain";
            checker.refuse(&format!("domain[{index}].create"), why);
        }
    }
}

/// `"ejabberd-pam"` is for the server's own users, and reaches all their clients: one that speaks MUC would take a
/// channel's message for one of its room. MIX-PAMC-09.
fn check_quirks(domains: &[Domain], upstreams: &[Upstream], checker: &mut Checker<'_>) {
    let both = |name: &&DomainName| {
        let domain = domains.iter().find(|domain| domain.name == **name);
        domain.is_some_and(|domain| domain.muc && domain.mix)
    };
    for (at, upstream) in upstreams.iter().enumerate() {
        if !upstream.quirks.contains(&Quirk::EjabberdPam) {
            continue;
        }
        let key = format!("upstream[{at}].quirks");
        if upstream.hosts.is_empty() {
            checker.refuse(
                &key,
                "\"ejabberd-pam\" needs hosts = [...]: it is for this server's own users",
            );
        }
        if let Some(name) = upstream.domains.iter().find(both) {
            let why = format!(
                "\"ejabberd-pam\" does not fit {name}, which serves both protocols: give MIX a domain of its own, with mirror"
            );
            checker.refuse(&key, why);
        }
    }
}

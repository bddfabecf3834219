//! The address of a Redis, and how it is reached.

use std::time::Duration;

use redis::{AsyncConnectionConfig, ConnectionInfo, IntoConnectionInfo, RedisResult};

use super::super::value::text;
use super::{Link, Way, sentinel};
use crate::Error;

/// How long making a connection may take.
pub(super) const CONNECT: Duration = Duration::from_secs(1);
/// How often what changes nothing follows a redirection.
const READ_AGAIN: u32 = 3;
/// Requests under way on one connection.
const PIPELINE: usize = 1024;
/// The port of a Sentinel that names none.
const SENTINEL_PORT: u16 = 26_379;

/// What a store's address means.
#[derive(Clone, Debug)]
pub(in crate::redis) enum Target {
    /// One server.
    Single(Box<ConnectionInfo>),
    /// The primary that Sentinels name.
    Sentinel {
        /// The Sentinels, and who we are to them.
        sentinels: Vec<ConnectionInfo>,
        /// The primary's name.
        name: String,
        /// Who we are to Redis: database, user, password.
        login: Box<ConnectionInfo>,
    },
    /// A cluster, by some of its members.
    Cluster(Vec<ConnectionInfo>),
}

impl Target {
    /// Reads `redis://`, `rediss://`, `redis+sentinel://[user:password@]host,host/name[/db][?sentinel=[user:]password]`
    /// and `redis+cluster://[user:password@]host,host` (`rediss+...` for TLS). Errors: `Unfit`, without a password in it.
    pub(in crate::redis) fn parse(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| unfit("it has no scheme"))?;
        let (plain, kind) = match scheme.split_once('+') {
            Some((plain, kind)) => (plain, Some(kind)),
            None => (scheme, None),
        };
        if !matches!(plain, "redis" | "rediss") {
            return Err(unfit(
                "the scheme is redis or rediss, with +sentinel or +cluster",
            ));
        }
        match kind {
            None => Ok(Self::Single(Box::new(info(url)?))),
            Some("sentinel") => Self::sentinel(plain, rest),
            Some("cluster") => Self::cluster(plain, rest),
            Some(_) => Err(unfit(
                "the scheme ends in +sentinel or +cluster, or has no +",
            )),
        }
    }

    fn sentinel(scheme: &str, rest: &str) -> Result<Self, Error> {
        let (rest, to_sentinels) = match rest.split_once('?') {
            Some((rest, more)) => (rest, sentinel_login(more)?),
            None => (rest, String::new()),
        };
        let (login, rest) = login(rest);
        let (hosts, path) = rest.split_once('/').ok_or_else(|| {
            unfit("the primary's name is missing: redis+sentinel://host,host/name")
        })?;
        let (name, db) = path.split_once('/').unwrap_or((path, "0"));
        // `[::1]` has none.
        let has_port = |host: &str| match host.rsplit_once(']') {
            Some((_, rest)) => !rest.is_empty(),
            None => host.contains(':'),
        };
        let with_port = |host: &str| match has_port(host) {
            true => format!("{scheme}://{to_sentinels}{host}"),
            false => format!("{scheme}://{to_sentinels}{host}:{SENTINEL_PORT}"),
        };
        let sentinels = hosts.split(',').map(|host| info(&with_port(host)));
        Ok(Self::Sentinel {
            sentinels: sentinels.collect::<Result<_, Error>>()?,
            name: name.to_owned(),
            login: Box::new(info(&format!("{scheme}://{login}primary/{db}"))?),
        })
    }

    fn cluster(scheme: &str, rest: &str) -> Result<Self, Error> {
        let (login, hosts) = login(rest);
        let hosts = hosts.trim_end_matches('/').split(',');
        let each = hosts.map(|host| info(&format!("{scheme}://{login}{host}")));
        Ok(Self::Cluster(each.collect::<Result<_, _>>()?))
    }

    /// Whether shards may lie on different servers.
    pub(in crate::redis) const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    pub(super) async fn connect(&self, patience: Duration) -> RedisResult<Link> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(patience))
            .set_pipeline_buffer_size(PIPELINE);
        match self {
            Self::Single(info) => {
                let client = redis::Client::open(info.as_ref().clone())?;
                both(&client, &config, None).await
            }
            Self::Sentinel {
                sentinels,
                name,
                login,
            } => {
                let named = sentinel::named(sentinels, name).await;
                let named = named.ok_or_else(nobody_names)?;
                let address = sentinel::shown(&named);
                let client = redis::Client::open(sentinel::primary(login, named))?;
                let link = both(&client, &config, Some(address)).await?;
                says_primary(&link).await.map(|()| link)
            }
            Self::Cluster(members) => Ok(Link {
                // The client sends a whole pipeline again by itself: after a redirection, and equally after a connection
                // that broke. A write is sent again only with the mark that it was (`deliver`), so never by the client.
                writes: members_of(members, patience, 0).await?,
                reads: members_of(members, patience, READ_AGAIN).await?,
                address: None,
            }),
        }
    }

    /// The address of the primary that Sentinels name now; `None` where they do not, or there are none.
    pub(super) async fn named_primary(&self) -> Option<String> {
        let Self::Sentinel {
            sentinels, name, ..
        } = self
        else {
            return None;
        };
        let named = sentinel::named(sentinels, name).await;
        named.as_ref().map(sentinel::shown)
    }
}

fn nobody_names() -> redis::RedisError {
    let kind = redis::ErrorKind::MasterNameNotFoundBySentinel;
    (kind, "no sentinel names the primary").into()
}

/// A fail-over may be under way: what Sentinels name has to say so itself, unless it may not be asked.
async fn says_primary(link: &Link) -> RedisResult<()> {
    let Way::One(mut reads) = link.reads.clone() else {
        return Ok(());
    };
    let role: RedisResult<Vec<redis::Value>> = redis::cmd("ROLE").query_async(&mut reads).await;
    match role.ok().as_ref().and_then(|role| role.first()) {
        Some(role) if text(role) != "master" => Err((
            redis::ErrorKind::Client,
            "what the sentinels name is no primary",
        )
            .into()),
        _ => Ok(()),
    }
}

/// Two connections to one server.
async fn both(
    client: &redis::Client,
    config: &AsyncConnectionConfig,
    address: Option<String>,
) -> RedisResult<Link> {
    let writes = client.get_multiplexed_async_connection_with_config(config);
    let reads = client.get_multiplexed_async_connection_with_config(config);
    let (writes, reads) = tokio::try_join!(writes, reads)?;
    Ok(Link {
        writes: Way::One(writes),
        reads: Way::One(reads),
        address,
    })
}

/// A connection to the members of a cluster. `retries`: how often a command may be sent again.
async fn members_of(
    members: &[ConnectionInfo],
    patience: Duration,
    retries: u32,
) -> RedisResult<Way> {
    let client = redis::cluster::ClusterClient::builder(members.to_vec())
        .connection_timeout(CONNECT)
        .response_timeout(patience)
        .retries(retries)
        .build()?;
    Ok(Way::Many(client.get_async_connection().await?))
}

/// `user:password@` of an address, and what stands behind it.
fn login(rest: &str) -> (String, &str) {
    match rest.rsplit_once('@') {
        Some((login, rest)) => (format!("{login}@"), rest),
        None => (String::new(), rest),
    }
}

/// What `sentinel=user:password` or `sentinel=password` says, as addresses have it.
fn sentinel_login(more: &str) -> Result<String, Error> {
    match more.strip_prefix("sentinel=") {
        Some(login) if login.contains(':') => Ok(format!("{login}@")),
        Some(password) => Ok(format!(":{password}@")),
        None => Err(unfit(
            "behind the ? stands sentinel=PASSWORD or sentinel=USER:PASSWORD",
        )),
    }
}

fn info(url: &str) -> Result<ConnectionInfo, Error> {
    url.into_connection_info()
        .map_err(|error| unfit(error.detail().unwrap_or("it is not an address of redis")))
}

fn unfit(why: &str) -> Error {
    Error::Unfit(format!("the address of the store cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn all_kinds_of_addresses() {
        assert!(matches!(
            Target::parse("redis://127.0.0.1:6379/0"),
            Ok(Target::Single(_))
        ));
        let sentinel = Target::parse("redis+sentinel://:secret@one,two:5000/main/3").unwrap();
        let Target::Sentinel {
            sentinels,
            name,
            login,
        } = sentinel
        else {
            panic!("{sentinel:?}")
        };
        assert_eq!((name.as_str(), sentinels.len()), ("main", 2));
        assert_eq!(login.redis_settings().password(), Some("secret"));
        assert_eq!(login.redis_settings().db(), 3);
        let with_login = "redis+sentinel://one,[::1]/main?sentinel=watcher:word";
        let Ok(Target::Sentinel { sentinels, .. }) = Target::parse(with_login) else {
            panic!("{with_login}")
        };
        let ports = sentinels.iter().map(|it| it.addr().to_string());
        assert_eq!(ports.collect::<Vec<_>>(), ["one:26379", "::1:26379"]);
        let users = sentinels.iter().map(|it| it.redis_settings());
        for user in users {
            assert_eq!(
                (user.username(), user.password()),
                (Some("watcher"), Some("word"))
            );
        }
        assert!(
            matches!(Target::parse("redis+cluster://one:7000,two:7001"), Ok(Target::Cluster(m)) if m.len() == 2)
        );
    }

    #[test]
    fn what_cannot_be_used_is_said_without_the_password() {
        for url in [
            "localhost:6379",
            "http://x",
            "redis+x://h",
            "redis+sentinel://:secret@h",
            "redis+sentinel://h/name?password=secret",
        ] {
            let error = Target::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

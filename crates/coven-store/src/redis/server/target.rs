//! The address of a Redis, and how it is reached.

use std::time::Duration;

use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsMode,
};

use super::{Link, Way};
use crate::Error;

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(1);
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
        /// The Sentinels.
        sentinels: Vec<ConnectionAddr>,
        /// The primary's name.
        name: String,
        /// Who we are to Redis: database, user, password.
        login: Box<ConnectionInfo>,
    },
    /// A cluster, by some of its members.
    Cluster(Vec<ConnectionInfo>),
}

impl Target {
    /// Reads `redis://`, `rediss://`, `redis+sentinel://[user:password@]host,host/name[/db]` and
    /// `redis+cluster://[user:password@]host,host` (`rediss+...` for TLS). Errors: `Unfit`, without a password in it.
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
        let (login, rest) = login(rest);
        let (hosts, path) = rest.split_once('/').ok_or_else(|| {
            unfit("the primary's name is missing: redis+sentinel://host,host/name")
        })?;
        let (name, db) = path.split_once('/').unwrap_or((path, "0"));
        let with_port = |host: &str| match host.rsplit_once(':') {
            Some(_) => format!("{scheme}://{host}"),
            None => format!("{scheme}://{host}:{SENTINEL_PORT}"),
        };
        let sentinels = hosts
            .split(',')
            .map(|host| Ok(info(&with_port(host))?.addr().clone()));
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
            Self::Sentinel { .. } => {
                let client = self.primary().await?;
                let address = client.get_connection_info().addr().to_string();
                both(&client, &config, Some(address)).await
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
        let client = tokio::time::timeout(CONNECT, self.primary())
            .await
            .ok()?
            .ok()?;
        Some(client.get_connection_info().addr().to_string())
    }

    /// A client for the primary that Sentinels name, and that says so itself.
    async fn primary(&self) -> RedisResult<redis::Client> {
        let Self::Sentinel {
            sentinels,
            name,
            login,
        } = self
        else {
            return Err((redis::ErrorKind::InvalidClientConfig, "not a Sentinel").into());
        };
        let settings = login.redis_settings();
        let kind = SentinelServerType::Master;
        let mut builder = SentinelClientBuilder::new(sentinels.clone(), name, kind)?
            .set_client_to_redis_db(settings.db());
        if let Some(user) = settings.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if matches!(login.addr(), ConnectionAddr::TcpTls { .. }) {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        builder.build()?.async_get_client().await
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
        ] {
            let error = Target::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

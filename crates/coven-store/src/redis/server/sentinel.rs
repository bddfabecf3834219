//! Which primary Sentinels name.
//!
//! All are asked at once, so that one that is away, or that nobody has told of a fail-over yet, decides nothing.

use std::collections::BTreeMap;

use redis::{ConnectionAddr, ConnectionInfo, RedisResult};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::target::CONNECT;

/// Host and port.
pub(super) type Address = (String, u16);

/// What more than half of the Sentinels name, or the most of those that answer in time. `None` when none does.
pub(super) async fn named(sentinels: &[ConnectionInfo], name: &str) -> Option<Address> {
    let mut asked = JoinSet::new();
    for sentinel in sentinels {
        let (sentinel, name) = (sentinel.clone(), name.to_owned());
        asked.spawn(async move { timeout(CONNECT, ask(sentinel, &name)).await });
    }
    let mut votes = BTreeMap::new();
    while let Some(answer) = asked.join_next().await {
        if let Ok(Ok(Ok(Some(address)))) = answer
            && let Some(address) = count(&mut votes, address, sentinels.len())
        {
            return Some(address);
        }
    }
    let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
    most.map(|(address, _)| address)
}

/// Counts a vote; answers what has more than half of all.
fn count(votes: &mut BTreeMap<Address, usize>, address: Address, all: usize) -> Option<Address> {
    let votes = votes.entry(address.clone()).or_default();
    *votes += 1;
    (*votes * 2 > all).then_some(address)
}

async fn ask(sentinel: ConnectionInfo, name: &str) -> RedisResult<Option<Address>> {
    let client = redis::Client::open(sentinel)?;
    let mut link = client.get_multiplexed_async_connection().await?;
    let mut asked = redis::cmd("SENTINEL");
    asked.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    asked.query_async(&mut link).await
}

/// An address as logs and comparisons have it.
pub(super) fn shown((host, port): &Address) -> String {
    format!("{host}:{port}")
}

/// Where and how to connect to what they name, as somebody with `login`.
pub(super) fn primary(login: &ConnectionInfo, (host, port): Address) -> ConnectionInfo {
    let address = match login.addr() {
        ConnectionAddr::TcpTls { insecure, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: None,
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    login.clone().set_addr(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentinel_of_three_decides_nothing() {
        let (old, new) = (("old".to_owned(), 1), ("new".to_owned(), 1));
        let mut votes = BTreeMap::new();
        assert_eq!(count(&mut votes, old, 3), None);
        assert_eq!(count(&mut votes, new.clone(), 3), None);
        assert_eq!(count(&mut votes, new.clone(), 3), Some(new));
    }
}

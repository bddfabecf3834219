//! The task that looks after the connection while nobody writes, and after the memory of the servers.
//!
//! Source: design §5.5 (a changed primary), §5.14 (memory), §5.15 (whose store).

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::server::{Info, Server};

/// How often the connection is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often, in looks, the memory is looked at.
const MEMORY_EVERY: u32 = 5;
/// From here on the operator is told, in percent of `maxmemory`.
const WARN_AT: u64 = 80;
/// From here on the oldest archived messages go.
const DROP_AT: u64 = 90;

/// How full a Redis is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Of the fullest server, in percent of its bound; `None` without a bound.
    pub(super) percent: Option<u64>,
}

impl Memory {
    /// Of the answers to `INFO` of all primaries.
    fn of(infos: &[String]) -> Self {
        let percent = |info: &String| {
            let info = Info(info);
            let bound = info.number("maxmemory").filter(|bound| *bound > 0)?;
            // Buffers for replicas and for the append-only file are used, but Redis refuses nothing for them.
            let aside = info.number("mem_not_counted_for_evict").unwrap_or_default();
            let used = info.number("used_memory")?.saturating_sub(aside);
            Some(used.saturating_mul(100) / bound)
        };
        Self {
            percent: infos.iter().filter_map(percent).max(),
        }
    }

    /// Whether archived messages have to go.
    pub(super) fn is_pressing(self) -> bool {
        self.percent.is_some_and(|percent| percent >= DROP_AT)
    }

    fn is_worth_a_warning(self) -> bool {
        self.percent.is_some_and(|percent| percent >= WARN_AT)
    }
}

/// Works until it is dropped.
pub(super) async fn run(server: Server) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0u32;
    loop {
        looks.tick().await;
        server.check().await;
        if count.is_multiple_of(MEMORY_EVERY)
            && let Ok(infos) = server.infos().await
        {
            let infos: Vec<_> = infos.into_iter().map(|(_, info)| info).collect();
            server.raise(&infos);
            let now = Memory::of(&infos);
            told(server.upkeep().note(now), now);
        }
        count = count.wrapping_add(1);
    }
}

fn told(before: Memory, now: Memory) {
    let percent = now.percent.unwrap_or_default();
    match (before.is_worth_a_warning(), now.is_worth_a_warning()) {
        (false, true) => warn!(
            percent,
            "redis is nearly full: from {DROP_AT} percent of maxmemory on the oldest archived messages go"
        ),
        (true, false) => info!(percent, "redis has room again"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(used: u64, bound: u64) -> String {
        format!("# Memory\r\nused_memory:{used}\r\nmaxmemory:{bound}\r\n")
    }

    #[test]
    fn the_fullest_server_counts() {
        let of = |infos: &[String]| Memory::of(infos);
        assert_eq!(
            of(&[info(5, 10), info(9, 10), info(99, 0)]).percent,
            Some(90)
        );
        assert_eq!(of(&[info(5, 0)]).percent, None);
        assert!(of(&[info(90, 100)]).is_pressing());
        assert!(!of(&[info(89, 100)]).is_pressing());
        assert!(of(&[info(80, 100)]).is_worth_a_warning());
        assert!(!of(&[info(79, 100)]).is_worth_a_warning());
        assert!(!of(&[]).is_worth_a_warning());
        let resync = info(95, 100) + "mem_not_counted_for_evict:20\r\n";
        assert_eq!(of(&[resync]).percent, Some(75));
    }
}

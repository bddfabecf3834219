//! Whether a connection leads to the primary of the known store, and what is done when it does not.
//!
//! Source: design §5.5 (a changed primary), §5.13, §5.14 (settings), §5.15 (whose store).

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use redis::Value;
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

use super::super::value::text;
use super::{CONNECT, Link, Server, Trouble, look};
use crate::redis::Durability;
use crate::{Condition, Error, ShardId, StoreId};

impl Server {
    /// Looks whether the connection still leads to the primary of the known store, and makes one where there is none.
    /// What is found wrong is in the [`Condition`] afterwards.
    pub(in crate::redis) async fn check(&self) {
        let Ok((number, link)) = self.link().await else {
            return;
        };
        let known = timeout(CONNECT, self.recognise(&link)).await;
        match known.unwrap_or_else(|_| Err(Trouble::Lost("no answer".to_owned()))) {
            Ok(()) => self.note_up(),
            // Whether an answer comes after all is for those to say who wait for one.
            Err(trouble @ Trouble::Lost(_)) => {
                self.renew_members(number, &link).await;
                return self.note(&trouble);
            }
            // The others of a cluster may be well.
            Err(trouble @ Trouble::Unreachable(_)) if link.is_cluster() => {
                self.shared.suspect.store(true, Ordering::Relaxed);
                self.renew_members(number, &link).await;
                return self.note(&trouble);
            }
            Err(trouble) => {
                self.give_up(number, &format!("{trouble:?}")).await;
                return self.note(&trouble);
            }
        }
        self.renew_members(number, &link).await;
        if let Some(why) = self.is_displaced(&link).await {
            self.give_up(number, &why).await;
        }
    }

    /// Asks a cluster anew who its members are, beside the connections that there are, when one of them did not answer:
    /// the client asks by itself only when it is told that a slot has moved.
    async fn renew_members(&self, number: u64, link: &Link) {
        if !link.is_cluster() || !self.shared.suspect.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Ok(Ok(link)) = timeout(CONNECT, self.make_link()).await {
            let mut linked = self.shared.link.lock().await;
            if linked.number == number {
                linked.number += 1;
                linked.link = Some(link);
            }
        }
    }

    /// Why a connection leads to what is no primary, or to one that Sentinels have replaced.
    async fn is_displaced(&self, link: &Link) -> Option<String> {
        if link.is_cluster() {
            return None;
        }
        // Who may not ask finds out when a write is refused.
        if let Ok(Value::Array(role)) = link.one(redis::cmd("ROLE")).await
            && role.first().is_some_and(|role| text(role) != "master")
        {
            return Some("it leads to a replica".to_owned());
        }
        let address = link.address.as_ref()?;
        let named = self.shared.target.named_primary().await?;
        (named != *address).then(|| format!("the primary is {named} now"))
    }

    /// A shard's mark was not there: nothing is done before all marks have been looked at.
    pub(in crate::redis) async fn miss(&self, shard: ShardId) {
        self.state().incomplete = true;
        let mut linked = self.shared.link.lock().await;
        linked.link = None;
        drop(linked);
        self.note(&Trouble::Replaced(format!(
            "shard {shard} has no mark of it"
        )));
    }

    /// Takes what is there now, or a new store, for the known one.
    ///
    /// Errors: `Unfit` for a store that this process cannot use.
    pub(in crate::redis) async fn accept(&self) -> Result<StoreId, Error> {
        let before = self.state().identity.take();
        self.state().incomplete = false;
        let accepted = match self.find_or_make(true).await {
            Ok(found) => self.mark_all(found).await.map(|()| found),
            Err(error) => Err(error),
        };
        let mut state = self.state();
        state.identity = accepted.as_ref().ok().copied().or(before);
        drop(state);
        if accepted.is_ok() {
            self.shared.condition.send_replace(Condition::Good);
        }
        accepted
    }

    /// Whether a link leads to the known store. Before one is known, any will do.
    pub(super) async fn recognise(&self, link: &Link) -> Result<(), Trouble> {
        let Some(known) = self.state().identity else {
            return Ok(());
        };
        match self.read_mark(link).await? {
            Some(mark) if mark.id == known => Ok(()),
            Some(_) => Err(Trouble::Replaced(
                "another store is in its place".to_owned(),
            )),
            None => Err(Trouble::Replaced("it is empty".to_owned())),
        }
    }

    /// Gives a link up again unless all shards have their marks.
    pub(super) async fn complete(&self, number: u64, link: &Link) -> Result<(), Trouble> {
        let why = match self.unmarked(number, link, self.identity()).await {
            Ok(missing) if missing.is_empty() => {
                self.state().incomplete = false;
                return Ok(());
            }
            Ok(missing) => {
                Trouble::Replaced(format!("{} of its shards are missing", missing.len()))
            }
            Err(error) => Trouble::Unreachable(error.to_string()),
        };
        self.give_up(number, "the store is not complete").await;
        self.note(&why);
        Err(why)
    }

    pub(super) fn note(&self, trouble: &Trouble) {
        let condition = match trouble {
            Trouble::Replaced(why) => Condition::Replaced(why.clone()),
            Trouble::Unreachable(why) | Trouble::Lost(why) | Trouble::Denied(why) => {
                Condition::Away(why.clone())
            }
        };
        self.state().down_since.get_or_insert_with(Instant::now);
        let before = self.shared.condition.send_replace(condition.clone());
        if let Condition::Replaced(why) = condition
            && !matches!(before, Condition::Replaced(_))
        {
            error!(
                event = "store-replaced",
                why,
                "this is not the store that was here: nothing is claimed or written until it is accepted"
            );
        }
    }

    pub(super) fn note_up(&self) {
        let mut state = self.state();
        state.down_since = None;
        if !state.incomplete {
            self.shared.condition.send_replace(Condition::Good);
        }
    }

    /// Version and settings. What may not be asked is taken to be right.
    pub(super) async fn look(&self) -> Result<(), Error> {
        let infos = match self.infos().await {
            Ok(infos) => infos.into_iter().map(|(_, info)| info).collect(),
            Err(Error::Denied(why)) => {
                self.may_enter().await?;
                warn!(%why, "INFO is refused: version, eviction, memory and persistence of redis are not checked");
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let found = look::findings(&infos)?;
        for warning in &found.warnings {
            warn!("{warning}");
        }
        let durability = found.durability(self.options().durability)?;
        info!(?durability, "how durable an answer of redis has to be");
        if found.is_bereft && self.options().durability.is_none() {
            warn!(
                "redis was a replica before and has none now: commits wait until it has one; if it is to have none, set durability = \"primary\""
            );
        }
        self.set_durability(durability);
        if self.barrier().is_some() {
            self.may_wait().await?;
        }
        Ok(())
    }

    fn set_durability(&self, durability: Durability) {
        let known = self.shared.durability.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = Some(durability);
    }

    /// Waits for replicas from now on where some have appeared since, unless something else was asked for. Never the
    /// other way round: what was promised is kept while they are away (design §5.5).
    pub(in crate::redis) fn raise(&self, infos: &[String]) {
        if self.options().durability.is_some() || self.durability() != Some(Durability::Primary) {
            return;
        }
        if look::findings(infos).is_ok_and(|found| found.has_replicas) {
            self.set_durability(Durability::Replica);
            info!("redis has replicas now: answers wait for one of them from now on");
        }
    }

    /// Whether it is only `INFO` that is refused.
    async fn may_enter(&self) -> Result<(), Error> {
        let link = self.link().await?.1;
        link.one(redis::cmd("PING"))
            .await
            .map_err(Trouble::of_reading)?;
        Ok(())
    }

    /// A refused `WAIT` would look like a replica that never answers.
    async fn may_wait(&self) -> Result<(), Error> {
        if self.is_cluster() {
            return Ok(());
        }
        let mut wait = redis::cmd("WAIT");
        wait.arg(0).arg(1);
        self.ask(ShardId(0), vec![wait]).await.map(|_| ())
    }
}

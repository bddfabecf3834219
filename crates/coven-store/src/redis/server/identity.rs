//! Whose store this is: the mark of the store, and the mark of each shard.
//!
//! The store's own key, `PREFIX:store`, holds `coven1:ID:SHARDS`, the id being random; once a later format of records than
//! the first is finalized also `:format=N`, which keeps every program away that does not know it (I7). Each shard's owner hash holds the
//! same id: a claim compares it in the same step, and one emptied member of a cluster is noticed although the store's own
//! key lies on another. While the shards are being marked the value ends in `:new`; whoever finds it so marks them too.
//! Source: design §5.15.

use redis::{Cmd, Value};

use super::super::value::{fields, text};
use super::{Batch, Link, Server, Trouble, Way};
use crate::{Error, ShardId, StoreId};

/// What the value of the store's own key begins with.
const FORMAT: &str = "coven1";
/// What it ends in while the shards are being marked.
const NEW: &str = "new";
/// What stands before the format, where that is not the first.
const RECORDS: &str = "format=";
/// The format of stores that name none.
const FIRST: u32 = 1;

/// The store's own mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: StoreId,
    shards: u16,
    is_new: bool,
    /// The format of records that may be written.
    format: u32,
}

impl Mark {
    /// Errors: what is wrong with it.
    fn parse(value: &str) -> Result<Self, String> {
        let unknown = || format!("{value:?} is not the mark of a store that this version knows");
        let rest = value
            .strip_prefix(FORMAT)
            .and_then(|it| it.strip_prefix(':'));
        let mut parts = rest.ok_or_else(unknown)?.split(':');
        let id = parts
            .next()
            .and_then(|id| u128::from_str_radix(id, 16).ok());
        let shards = parts.next().and_then(|shards| shards.parse().ok());
        let (mut is_new, mut format) = (false, FIRST);
        match (parts.next(), parts.next()) {
            (None, _) => {}
            (Some(NEW), None) => is_new = true,
            (Some(part), None) => {
                let number = part.strip_prefix(RECORDS).and_then(|it| it.parse().ok());
                format = number.ok_or_else(unknown)?;
            }
            _ => return Err(unknown()),
        }
        let (Some(id), Some(shards)) = (id, shards) else {
            return Err(unknown());
        };
        Ok(Self {
            id: StoreId(id),
            shards,
            is_new,
            format,
        })
    }

    fn written(self) -> String {
        let plain = format!("{FORMAT}:{}:{}", hex(self.id), self.shards);
        match self.is_new {
            true => format!("{plain}:{NEW}"),
            false if self.format > FIRST => format!("{plain}:{RECORDS}{}", self.format),
            false => plain,
        }
    }
}

/// Whose store a mark is, and the format that is finalized; `None` for what is no mark.
pub(in crate::redis) fn marked(mark: &str) -> Option<(StoreId, u32)> {
    Mark::parse(mark).ok().map(|mark| (mark.id, mark.format))
}

/// `KEYS`: the store's own key. `ARGV`: what it has to hold, and what then is put in its place. Answers 1 when it was.
const SWAP: &str = r"#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
";

/// An id as marks have it.
pub(in crate::redis) fn hex(id: StoreId) -> String {
    format!("{:032x}", id.0)
}

impl Server {
    /// The command that reads the store's mark, see [`marked`].
    pub(in crate::redis) fn mark(&self) -> Cmd {
        let mut get = redis::cmd("GET");
        get.arg(self.own_key());
        get
    }

    /// The store's mark in the Redis that a link leads to; `None` where there is none.
    pub(super) async fn read_mark(&self, link: &Link) -> Result<Option<Mark>, Trouble> {
        let found = link.one(self.mark()).await?;
        if found == Value::Nil {
            return Ok(None);
        }
        Mark::parse(&text(&found))
            .map(Some)
            .map_err(Trouble::Replaced)
    }

    /// Finds the store, or makes one where there is none and one may be made.
    ///
    /// Errors: `Unfit` where it is none of ours, of another number of shards, without some of its shards, or missing.
    pub(super) async fn find_or_make(&self, may_make: bool) -> Result<StoreId, Error> {
        let link = self.link().await?.1;
        let found = self.read_mark(&link).await.map_err(unfit)?;
        let mark = match found {
            Some(mark) => mark,
            None if may_make => self.make(&link).await?,
            None => return Err(Error::Unfit(self.missing())),
        };
        if mark.shards != self.options().shards {
            let (made_with, asked) = (mark.shards, self.options().shards);
            let why = format!("it was made with {made_with} shards, not {asked}");
            return Err(Error::Unfit(why));
        }
        let format = self.options().format;
        if mark.format > format {
            return Err(Error::Unfit(crate::registry::beyond(mark.format, format)));
        }
        if mark.is_new {
            self.mark_all(mark.id).await?;
            let done = Mark {
                is_new: false,
                ..mark
            };
            let mut set = redis::cmd("SET");
            set.arg(self.own_key()).arg(done.written());
            link.one(set).await?;
        }
        if self.options().alone && !self.finalize(mark.id, format).await? {
            return Err(Error::Io("the mark of the store does not stay".to_owned()));
        }
        Ok(mark.id)
    }

    /// From now on records of this format may be written. Nothing is written where a later one is finalized already. Answers
    /// whether the store of this id is there. A mark that changes meanwhile is looked at again.
    pub(in crate::redis) async fn finalize(&self, id: StoreId, format: u32) -> Result<bool, Error> {
        let link = self.link().await?.1;
        while let Some(mark) = self.read_mark(&link).await.map_err(unfit)? {
            if mark.id != id || mark.format >= format {
                return Ok(mark.id == id);
            }
            let done = Mark {
                is_new: false,
                format,
                ..mark
            };
            let mut swap = redis::cmd("EVAL");
            swap.arg(SWAP).arg(1).arg(self.own_key());
            swap.arg(mark.written()).arg(done.written());
            // Where writes go, so that a barrier behind it covers it.
            let batch = Batch {
                shard: ShardId(0),
                commands: vec![swap],
            };
            let answers = self.run(&[batch]).await.pop().unwrap_or(Ok(Vec::new()));
            let answer = answers.map_err(Trouble::of_reading)?.pop();
            let answer = answer.transpose().map_err(|error| super::refusal(&error))?;
            if answer == Some(Value::Int(1)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn missing(&self) -> String {
        let prefix = &self.options().prefix;
        format!("there is no store with the prefix {prefix:?} in this redis, and must-exist = true")
    }

    async fn make(&self, link: &Link) -> Result<Mark, Error> {
        let fresh = Mark {
            id: crate::random::store_id(),
            shards: self.options().shards,
            is_new: true,
            format: FIRST,
        };
        let mut set = redis::cmd("SET");
        set.arg(self.own_key()).arg(fresh.written()).arg("NX");
        link.one(set).await?;
        let found = self.read_mark(link).await?;
        found.ok_or_else(|| Error::Io("the mark of the store does not stay".to_owned()))
    }

    /// Marks the shards that have no mark.
    pub(super) async fn mark_all(&self, id: StoreId) -> Result<(), Error> {
        let (number, link) = self.link().await?;
        let way = link.way(false);
        let mark = |shard| {
            let mut set = redis::cmd("HSETNX");
            set.arg(self.keys(shard).owner()).arg("store").arg(hex(id));
            set
        };
        self.each_shard(number, way, mark).await.map(|_| ())
    }

    /// Shards that do not have the mark of `id`.
    pub(super) async fn unmarked(
        &self,
        number: u64,
        link: &Link,
        id: StoreId,
    ) -> Result<Vec<ShardId>, Error> {
        let read = |shard| {
            let mut get = redis::cmd("HMGET");
            get.arg(self.keys(shard).owner()).arg("store");
            get
        };
        let wanted = hex(id);
        let marks = self.each_shard(number, link.way(true), read).await?;
        let marks = marks.into_iter();
        let marks = marks.map(|(shard, mark)| (shard, fields(&mark)));
        let without = marks.filter(|(_, mark)| mark.first() != Some(&wanted));
        Ok(without.map(|(shard, _)| shard).collect())
    }

    async fn each_shard(
        &self,
        number: u64,
        way: Way,
        command: impl Fn(ShardId) -> Cmd,
    ) -> Result<Vec<(ShardId, Value)>, Error> {
        let shards: Vec<_> = (0..self.options().shards).map(ShardId).collect();
        let batches: Vec<_> = shards
            .iter()
            .map(|shard| Batch {
                shard: *shard,
                commands: vec![command(*shard)],
            })
            .collect();
        let mut all = Vec::with_capacity(shards.len());
        let answered = self.run_on(number, way, &batches).await;
        for (shard, answers) in shards.into_iter().zip(answered) {
            let answers = answers.map_err(Trouble::of_reading)?;
            for answer in answers {
                let answer = answer.map_err(|error| super::refusal(&error))?;
                all.push((shard, answer));
            }
        }
        Ok(all)
    }

    fn own_key(&self) -> String {
        format!("{}:store", self.options().prefix)
    }
}

fn unfit(trouble: Trouble) -> Error {
    match trouble {
        Trouble::Replaced(why) => Error::Unfit(why),
        other => other.of_reading(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn marks_are_read_as_they_are_written() {
        for (is_new, format) in [(true, 1), (false, 1), (false, 2)] {
            let mark = Mark {
                id: StoreId(255),
                shards: 1024,
                is_new,
                format,
            };
            assert_eq!(Mark::parse(&mark.written()), Ok(mark));
        }
    }

    #[test]
    fn i7_the_first_format_is_marked_as_it_always_was() {
        let mark = Mark::parse("coven1:ff:8").unwrap();
        assert_eq!(mark.format, FIRST);
        assert!(mark.written().ends_with("ff:8"));
    }

    #[test]
    fn what_is_no_mark_is_refused() {
        for value in [
            "hello",
            "coven2:ff:8",
            "coven1:xx:8",
            "coven1:ff",
            "coven1:ff:8:old",
            "coven1:ff:8:format=",
            "coven1:ff:8:format=2:new",
        ] {
            assert!(Mark::parse(value).unwrap_err().contains(value));
        }
    }
}

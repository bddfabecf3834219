//! `coven admin` and the interface that it talks to: who is there, who has what, and what operators may ask for.
//!
//! Source: design §9. [`http`] answers on the address of `[http]`, [`client`] asks; this is what both roles of a cluster
//! know and do. What an operator asks for is kept in the registry, and obeyed by whom it concerns with its next poll.
//! A process that is alone has nobody to ask about; it can be ended for good ([`end`]).

pub mod client;
pub mod end;
pub mod http;

use std::fmt;
use std::sync::{Arc, OnceLock};

use coven_cluster::{Channel, agent};
use coven_core::ChannelName;
use coven_store::registry::{Member, Registry, Request, Role, Seen, Sight};
use coven_store::{ChannelKey, ProcessId, ShardId, Store, StoreId};
use jid::Jid;
use serde_json::{Value, json};
use smol_str::SmolStr;

use crate::config::{Config, Domain};
use end::End;

/// What an administrator may ask of this process, once it has started. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Admin(Arc<OnceLock<Part>>);

/// What this process is.
#[derive(Debug)]
enum Part {
    /// One of several.
    Member(Box<Asked>),
    /// All there is.
    Alone(End),
}

/// What is asked.
pub struct Asked {
    /// Where requests are kept.
    pub registry: Arc<dyn Registry>,
    /// How this process stands.
    pub agent: agent::Handle,
    /// The store, and which it is.
    pub store: (Arc<dyn Store>, StoreId),
    /// The node in this process.
    pub node: Option<coven_node::Handle>,
    /// For the spaces of domains, and the number of shards.
    pub config: Config,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such thing.
    NotFound(String),
    /// It does not work now.
    NotNow(String),
    /// A process of this role does not do that.
    NotHere(&'static str),
}

type Answer = Result<Value, Refused>;

impl Admin {
    /// From now on this is asked.
    pub fn attach(&self, asked: Asked) {
        // A second time there is nothing to change: a process is a part of one cluster.
        let _ = self.0.set(Part::Member(Box::new(asked)));
    }

    /// This process is all there is: of it an end for good may be asked.
    pub fn attach_alone(&self) {
        let _ = self.0.set(Part::Alone(End::default()));
    }

    fn part(&self) -> Result<&Part, Refused> {
        let starting = || Refused::NotNow("this process is starting".to_owned());
        self.0.get().ok_or_else(starting)
    }

    fn asked(&self) -> Result<&Asked, Refused> {
        match self.part()? {
            Part::Member(asked) => Ok(asked),
            Part::Alone(_) => Err(Refused::NotHere(
                "this process is alone (role \"all\"): it has every shard and every connection, and is asked for shutdown --final only",
            )),
        }
    }

    fn sight(&self) -> Result<Arc<Sight>, Refused> {
        let health = self.asked()?.agent.health();
        let sight = health.borrow().sight.clone();
        sight.ok_or_else(|| Refused::NotNow("the registry has not answered yet".to_owned()))
    }

    /// All nodes.
    pub fn nodes(&self) -> Answer {
        let sight = self.sight()?;
        let nodes = of_role(&sight, Role::Node);
        Ok(nodes.map(|node| shown_node(node, &sight)).collect())
    }

    /// All front-ends, with the connections that they hold.
    pub fn fronts(&self) -> Answer {
        let sight = self.sight()?;
        let fronts = of_role(&sight, Role::Front);
        Ok(fronts.map(|front| shown_front(front, &sight)).collect())
    }

    /// All shards, with who says that it has them.
    pub fn shards(&self) -> Answer {
        let (asked, sight) = (self.asked()?, self.sight()?);
        let shown = |shard: u16| {
            let owner = owner(&sight, ShardId(shard));
            json!({
                "shard": shard,
                "owner": owner.map(|seen| id(seen.member.process)),
                "address": owner.map(|seen| seen.member.address.as_str()),
            })
        };
        Ok((0..asked.config.store.shards).map(shown).collect())
    }

    /// Where a channel is. `epoch` is the store's word; so is `sequence` where this process does not own the channel.
    /// Whether it is in memory only its owner knows.
    pub async fn place(&self, channel: &str) -> Answer {
        let (asked, sight) = (self.asked()?, self.sight()?);
        let channel = asked.channel(channel)?;
        let shard = ShardId(channel.shard().0);
        let owner = owner(&sight, shard);
        let token = asked.store.0.owner(shard).await.map_err(not_now)?;
        let here = asked.node.as_ref().map(|node| node.place(&channel));
        let here = here.filter(|place| place.epoch.is_some());
        let sequence = match here.as_ref().and_then(|place| place.sequence) {
            Some(known) => Some(known.0),
            None => asked.stored_sequence(&channel).await?,
        };
        Ok(json!({
            "channel": channel.name().local.as_str(),
            "space": channel.name().space.as_str(),
            "shard": shard.0,
            "epoch": token.map(|token| token.epoch.0),
            "owner": owner.map(|seen| id(seen.member.process)),
            "address": owner.map(|seen| seen.member.address.as_str()),
            "sequence": sequence,
            "loaded": here.as_ref().map(|place| place.loaded),
        }))
    }

    /// A process gives up what it has and takes nothing, or takes again.
    pub async fn drain(&self, process: &str, drain: bool) -> Answer {
        let process = find(&*self.sight()?, process, None)?.member.process;
        let request = match drain {
            true => Request::Drain(process),
            false => Request::Undrain(process),
        };
        self.request(request).await?;
        Ok(json!({ "process": id(process), "draining": drain }))
    }

    /// A shard belongs to this node as long as that is there.
    pub async fn move_shard(&self, shard: u16, node: &str) -> Answer {
        if shard >= self.asked()?.config.store.shards {
            return Err(Refused::NotFound(format!("there is no shard {shard}")));
        }
        let node = find(&*self.sight()?, node, Some(Role::Node))?
            .member
            .process;
        self.request(Request::Move(ShardId(shard), Some(node)))
            .await?;
        Ok(json!({ "shard": shard, "to": id(node) }))
    }

    /// The store that is there now is the right one (design §5.15). For this process only: each is asked.
    pub async fn accept_store(&self) -> Answer {
        let asked = self.asked()?;
        if asked.node.is_some() {
            asked.store.0.accept().await.map_err(not_now)?;
        }
        let ended = |_| Refused::NotNow("this process ends".to_owned());
        asked.agent.accept_store().await.map_err(ended)?;
        Ok(json!({ "accepted": true }))
    }

    /// From now on the newest format is written that this version knows, which ends the time in which an older version can
    /// be started again (I7). Refused while somebody is there who cannot read it.
    pub async fn finalize_upgrade(&self) -> Answer {
        let asked = self.asked()?;
        let format = coven_proto::format::newest();
        let sight = asked.registry.poll(None).await.map_err(not_now)?;
        if let Some(older) = sight.sessions.iter().find(|it| it.member.formats < format) {
            return Err(Refused::NotNow(older_version(older, format)));
        }
        let is_there = asked.registry.finalize(asked.store.1, format).await;
        if !is_there.map_err(not_now)? {
            let why = "another store is there than this process knows";
            return Err(Refused::NotNow(why.to_owned()));
        }
        Ok(json!({ "format": format.max(sight.format), "before": sight.format }))
    }

    /// Channels in quarantine: those that operators have put there, and those that this node has.
    pub async fn quarantined(&self) -> Answer {
        let asked = self.asked()?;
        let sight = asked.registry.poll(None).await.map_err(not_now)?;
        let by_operators = sight.requests.quarantined.iter();
        let mut all: Vec<Value> = by_operators
            .map(|key| json!({ "channel": key.local.as_str(), "space": key.space.as_str(), "by": "operator" }))
            .collect();
        for channel in asked
            .node
            .iter()
            .flat_map(coven_node::Handle::in_quarantine)
        {
            let name = channel.name();
            all.push(json!({ "channel": name.local.as_str(), "space": name.space.as_str(), "by": "node" }));
        }
        Ok(Value::Array(all))
    }

    /// Puts a channel into quarantine, or takes it out.
    pub async fn quarantine(&self, channel: &str, is_in: bool) -> Answer {
        let asked = self.asked()?;
        let channel = asked.channel(channel)?;
        let name = channel.name();
        let key = ChannelKey::new(name.space.clone(), name.local.clone());
        if is_in {
            self.request(Request::Quarantine(key)).await?;
        } else {
            self.request(Request::Lift(key)).await?;
            asked.node.iter().for_each(|node| node.lift(&channel));
        }
        Ok(
            json!({ "channel": name.local.as_str(), "space": name.space.as_str(), "quarantined": is_in }),
        )
    }

    async fn request(&self, request: Request) -> Result<(), Refused> {
        let done = self.asked()?.registry.request(request).await;
        done.map_err(not_now)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_now(error: coven_store::Error) -> Refused {
    Refused::NotNow(error.to_string())
}

fn older_version(older: &Seen, format: u32) -> String {
    let Member {
        process,
        role,
        version,
        formats,
        ..
    } = &older.member;
    let role = match role {
        Role::Node => "node",
        Role::Front => "front-end",
        Role::Alone => "process",
    };
    format!(
        "{role} {} of version {version} reads formats up to {formats}, not {format}: upgrade it first",
        id(*process)
    )
}

impl Asked {
    /// The newest sequence in the store; `None` for a channel that is not there.
    async fn stored_sequence(&self, channel: &Channel) -> Result<Option<u64>, Refused> {
        let name = channel.name();
        let key = ChannelKey::new(name.space.clone(), name.local.clone());
        let shard = ShardId(channel.shard().0);
        let loaded = self.store.0.load(shard, &key).await.map_err(not_now)?;
        let is_there = loaded.filter(|loaded| !loaded.dead);
        Ok(is_there.map(|loaded| loaded.head.0))
    }

    /// The channel with this address.
    fn channel(&self, address: &str) -> Result<Channel, Refused> {
        let wrong =
            || Refused::NotFound(format!("{address:?} is not the address of a channel here"));
        let jid = Jid::new(address).map_err(|_| wrong())?.to_bare();
        let serves = |domain: &&Domain| domain.name.as_str() == jid.domain().as_str();
        let domain = self.config.domains.iter().find(serves).ok_or_else(wrong)?;
        let local = jid.node().ok_or_else(wrong)?;
        let name = ChannelName {
            space: SmolStr::new(domain.space.as_str()),
            local: SmolStr::new(local.as_str()),
        };
        Ok(Channel::new(name, self.config.store.shards))
    }
}

fn of_role(sight: &Sight, role: Role) -> impl Iterator<Item = &Seen> {
    let sessions = sight.sessions.iter();
    sessions.filter(move |seen| seen.member.role == role)
}

/// Who says that it has a shard.
fn owner(sight: &Sight, shard: ShardId) -> Option<&Seen> {
    of_role(sight, Role::Node).find(|seen| seen.member.owned.contains(shard))
}

/// The process with this address, or whose id begins so.
fn find<'a>(sight: &'a Sight, name: &str, role: Option<Role>) -> Result<&'a Seen, Refused> {
    let fits = |seen: &&Seen| {
        let member = &seen.member;
        let is_it = member.address == name || id(member.process).starts_with(name);
        !name.is_empty() && is_it && role.is_none_or(|role| member.role == role)
    };
    let mut found = sight.sessions.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(seen), None) => Ok(seen),
        (Some(_), Some(_)) => Err(Refused::NotFound(format!(
            "{name:?} fits several processes"
        ))),
        (None, _) => Err(Refused::NotFound(format!("there is no process {name:?}"))),
    }
}

fn shown_node(node: &Seen, sight: &Sight) -> Value {
    let member = &node.member;
    json!({
        "process": id(member.process),
        "address": member.address.as_str(),
        "version": member.version.as_str(),
        "formats": member.formats,
        "shards": member.owned.len(),
        "draining": is_draining(node, sight),
    })
}

fn shown_front(front: &Seen, sight: &Sight) -> Value {
    let leases = sight.leases.iter();
    let held: Vec<&str> = leases
        .filter(|lease| lease.holder == Some(front.session))
        .map(|lease| lease.connection.0.as_str())
        .collect();
    json!({
        "process": id(front.member.process),
        "version": front.member.version.as_str(),
        "formats": front.member.formats,
        "connections": held,
        "draining": is_draining(front, sight),
    })
}

fn is_draining(seen: &Seen, sight: &Sight) -> bool {
    let member = &seen.member;
    member.draining || sight.requests.draining.contains(&member.process)
}

fn id(process: ProcessId) -> String {
    format!("{:032x}", process.0)
}

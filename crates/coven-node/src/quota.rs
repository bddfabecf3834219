//! How many channels each person owns (MUC-ERR-09). The directory says that too (design §8a): it has a space for each
//! person, whose entries are the channels that the person owns.
//!
//! Derived like the rest of the directory: written beside the commits, so a crash may lose an entry or leave one too many.
//! The first is put right when the channel is loaded, the second when somebody is at the limit.

use crate::convert;
use crate::shared::Shared;
use coven_cluster::Channel;
use coven_core::roster::{Delta, PersonView};
use coven_core::{Affiliation, BareJid, Channel as State, ChannelName, Command};
use coven_store::DirectoryQuery;
use smol_str::{SmolStr, format_smolstr};

/// Who owns a channel from now on, or no longer.
pub(crate) type Owner = (BareJid, bool);

/// Notes who owns a channel from now on, or no longer, if there is a limit. Only of what is durable.
pub(crate) fn note(shared: &Shared, channel: &Channel, owners: impl IntoIterator<Item = Owner>) {
    if shared.policies(channel).max_owned.is_none() {
        return;
    }
    for (owner, owns) in owners {
        let space = space_of(&owner, &channel.name().space);
        shared.directory.note_in(&space, channel, owns);
    }
}

/// What an event changed in who owns the channel.
pub(crate) fn changes(delta: &Delta) -> Vec<Owner> {
    let owns = |view: Option<&PersonView>| {
        view.filter(|view| view.affiliation() == Affiliation::Owner)
            .map(|view| view.person.jid.clone())
    };
    let (before, after) = (owns(delta.before.as_ref()), owns(delta.after.as_ref()));
    let ended = delta.everybody.iter().filter_map(|view| owns(Some(view)));
    match (before, after) {
        (Some(_), Some(_)) => Vec::new(),
        (Some(owner), None) => vec![(owner, false)],
        (None, Some(owner)) => vec![(owner, true)],
        (None, None) => ended.map(|owner| (owner, false)).collect(),
    }
}

/// The owners of a channel.
pub(crate) fn owners(state: &State) -> impl Iterator<Item = Owner> {
    let persons = state.roster().persons();
    let owners = persons.filter(|person| person.affiliation == Affiliation::Owner);
    owners.map(|person| (person.jid.clone(), true))
}

/// Whether the command would make the channel.
pub(crate) fn creates(state: &State, command: &Command) -> bool {
    let may = matches!(
        command,
        Command::Join(_) | Command::Create | Command::CreateAdHoc
    );
    may && !state.roster().exists()
}

/// How many channels of the space somebody owns, counted up to `max`. None where the store does not say: what is decided
/// on it will not be committed either.
pub(crate) async fn owned(shared: &Shared, space: &SmolStr, owner: &BareJid, max: u32) -> u32 {
    shared.directory.flush(shared).await;
    let query = DirectoryQuery {
        unlisted: true,
        max: max as usize,
        ..DirectoryQuery::default()
    };
    let page = shared.store.directory(&space_of(owner, space), query).await;
    let Ok(Ok(page)) = page else { return 0 };
    if page.channels.len() < max as usize {
        return u32::try_from(page.channels.len()).unwrap_or(max);
    }
    let mut count = 0;
    for (local, _) in page.channels {
        count += u32::from(is_there(shared, space, local, owner).await);
    }
    count
}

/// The name of the space in which the directory has what a person owns. No domain is named so.
fn space_of(owner: &BareJid, space: &str) -> SmolStr {
    format_smolstr!("{} in {space}", owner.as_str())
}

/// Whether the channel still exists; if not, the entry goes.
async fn is_there(shared: &Shared, space: &SmolStr, local: SmolStr, owner: &BareJid) -> bool {
    let name = ChannelName {
        space: space.clone(),
        local,
    };
    let channel = Channel::new(name, shared.options.shards);
    let shard = convert::shard(channel.shard());
    let exists = shared.store.exists(shard, &convert::key(&channel)).await;
    if matches!(exists, Ok(false)) {
        note(shared, &channel, [(owner.clone(), false)]);
        return false;
    }
    true
}

//! What runs in Redis itself.
//!
//! Scripts only compare and carry out: what a commit changes is worked out before (`stage`). Numbers are compared as the
//! strings that they were written as; sequences as numbers, which are exact up to 2^53.

use std::sync::LazyLock;

/// Carries out commands if the shard's owner is the one that they were made for.
///
/// `KEYS[1]`: the owner's hash; the others: what the commands name. `ARGV`: epoch, number of the newest commit, that after
/// this one, whether it is sent again, the number of this write, then for each command so many words: the command, the
/// number of its key, its arguments. Answers `{1}`, or `{0, epoch, owner, commit, store}` as they are, having done nothing.
///
/// All writes of a shard count by one, whether they commit something or not: what a network brings late, of a connection
/// that was given up, comes behind what was done since, and is not done again. Sent again under the same epoch, to a shard
/// that has its write or a later one, it was done the first time: nobody else can have made that write. Then it only counts
/// that, so that a barrier behind it covers a write. `GONE` as the only command: the owner goes, which leaves nothing to
/// compare but the epoch. `TRIM key sequence` removes a stream's entries up to a sequence.
const WRITE: &str = r"
local is = redis.call('HMGET', KEYS[1], 'epoch', 'owner', 'commit', 'store', 'writes')
local epoch, owner, commit, store = is[1] or '0', is[2] or '', is[3] or '0', is[4] or ''
local writes, this = tonumber(is[5] or '0'), tonumber(ARGV[5])
if epoch ~= ARGV[1] or owner == '' or commit ~= ARGV[2] or writes + 1 ~= this then
  local released = owner == '' and ARGV[7] == 'GONE'
  local ahead = owner ~= '' and writes >= this
  if ARGV[4] == '1' and epoch == ARGV[1] and (released or ahead) then
    redis.call('HINCRBY', KEYS[1], 'again', 1)
    return {1}
  end
  return {0, epoch, owner, commit, store}
end
redis.call('HSET', KEYS[1], 'writes', ARGV[5])

local function trim(key, last)
  while true do
    local some = redis.call('XRANGE', key, '-', '+', 'COUNT', 100)
    if #some == 0 then return end
    local ends = nil
    for _, entry in ipairs(some) do
      local stamp, sequence = string.match(entry[1], '^(%d+)-(%d+)$')
      if tonumber(sequence) > last then
        redis.call('XTRIM', key, 'MINID', entry[1])
        return
      end
      ends = stamp .. '-' .. string.format('%.0f', tonumber(sequence) + 1)
    end
    redis.call('XTRIM', key, 'MINID', ends)
  end
end

local at = 6
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  local command, key = ARGV[at + 1], KEYS[tonumber(ARGV[at + 2])]
  if command == 'TRIM' then
    trim(key, tonumber(ARGV[at + 3]))
  elseif command == 'GONE' then
    redis.call('HSET', KEYS[1], 'owner', '')
  else
    local call = {command, key}
    for word = 3, words do call[word] = ARGV[at + word] end
    redis.call(unpack(call))
  end
  at = at + words + 1
end
return {1}
";

/// A script and the name by which a server knows it once it has run.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) text: String,
    pub(super) hash: String,
}

impl Known {
    fn new(text: String) -> Self {
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

/// [`WRITE`]; `frees` for what makes room: it is done although the memory is full (design §5.14).
pub(super) fn write(frees: bool) -> &'static Known {
    static PLAIN: LazyLock<Known> = LazyLock::new(|| Known::new(WRITE.to_owned()));
    static FREES: LazyLock<Known> =
        LazyLock::new(|| Known::new(format!("#!lua flags=allow-oom\n{WRITE}")));
    if frees { &FREES } else { &PLAIN }
}

/// Claims a shard (design §5.3).
///
/// `KEYS[1]`: the owner's hash. `ARGV`: session, the epoch and session judged dead, the highest epoch that is known, the
/// store's id. Answers `{1, epoch, commit, epoch before}`; `{0, epoch, owner}` where somebody else holds it, `{2, store}` where the
/// shard's mark is not that of the store. A stored epoch below the claimer's own is a loss by Redis (§5.1, IL-16).
const CLAIM: &str = r"#!lua flags=allow-oom
local is = redis.call('HMGET', KEYS[1], 'epoch', 'owner', 'commit', 'store')
local epoch, owner, commit, store = is[1] or '0', is[2] or '', is[3] or '0', is[4] or ''
if store ~= ARGV[5] then return {2, store} end
local dead = epoch == ARGV[2] and owner == ARGV[3]
local lost = ARGV[3] == ARGV[1] and tonumber(epoch) < (tonumber(ARGV[2]) or 0)
if owner ~= '' and not dead and not lost then return {0, epoch, owner} end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local granted = math.max(tonumber(epoch) + 1, tonumber(ARGV[4]) + 1, now)
granted = string.format('%.0f', granted)
redis.call('HSET', KEYS[1], 'epoch', granted, 'owner', ARGV[1])
return {1, granted, commit, epoch}
";

/// [`CLAIM`].
pub(super) fn claim() -> &'static Known {
    static CLAIMS: LazyLock<Known> = LazyLock::new(|| Known::new(CLAIM.to_owned()));
    &CLAIMS
}

/// All that a new owner needs of a channel.
///
/// `KEYS`: channels, snapshots, journal, archive. `ARGV[1]`: the channel. Answers `{record, snapshot, entries}`, the
/// entries of both streams after the snapshot, each stream backwards.
pub(super) const LOAD: &str = r"
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then return false end
local snapshot = redis.call('HGET', KEYS[2], ARGV[1])
local covered = -1
if snapshot then covered = tonumber(string.match(snapshot, '^(%d+):')) end
local found = {}
for key = 3, 4 do
  local last, more = '+', true
  while more do
    local some = redis.call('XREVRANGE', KEYS[key], last, '-', 'COUNT', 256)
    more = #some == 256
    for _, entry in ipairs(some) do
      if tonumber(string.match(entry[1], '%-(%d+)$')) <= covered then more = false break end
      found[#found + 1] = entry
      last = '(' .. entry[1]
    end
  end
end
return {record, snapshot, found}
";

/// Entries of an archive, with what has become of them.
///
/// `KEYS`: archive, rewrites. `ARGV`: command, first and last id as the command takes them, the most entries. Answers
/// `{entries, rewrites}`, the latter in the same order or empty.
pub(super) const RANGE: &str = r"
local found = redis.call(ARGV[1], KEYS[1], ARGV[2], ARGV[3], 'COUNT', ARGV[4])
local rewrites = {}
if #found > 0 and redis.call('EXISTS', KEYS[2]) == 1 then
  for at, entry in ipairs(found) do
    rewrites[at] = redis.call('HGET', KEYS[2], string.match(entry[1], '%-(%d+)$'))
  end
end
return {found, rewrites}
";

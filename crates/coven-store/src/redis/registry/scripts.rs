//! What runs in Redis for the registry. All keys carry one tag, so that they are one slot of Redis Cluster.
//!
//! `sessions`: hash, session -> record of its process. `session:<it>`: there as long as the session is, with its time to
//! live. `leases`: hash, connection -> number, holder, who asked for it, where it leads. `requests`: hash, `drain:<process>`
//! -> when it was asked for; `move:<shard>` -> the process, and when; `quarantine:<channel>`. Sessions are named in hex everywhere, nobody by `-`.

/// `KEYS`: sessions, the session's key, requests. `ARGV`: session, record, time to live in ms, what keys of sessions begin
/// with, how long requests for processes that are not there are kept, in ms. Begins a session, and forgets what is over.
pub(super) const OPEN: &str = r"#!lua flags=allow-oom
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], '', 'PX', ARGV[3])
local there = {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  if redis.call('EXISTS', ARGV[4] .. all[at]) == 1 then
    there[string.match(all[at + 1], '^%x+') or ''] = true
  else
    redis.call('HDEL', KEYS[1], all[at])
  end
end
local time = redis.call('TIME')
local old = tonumber(time[1]) * 1000 - tonumber(ARGV[5])
all = redis.call('HGETALL', KEYS[3])
for at = 1, #all, 2 do
  local process = string.match(all[at], '^drain:(%x+)$') or string.match(all[at + 1], '^%x+')
  local asked = tonumber(string.match(all[at + 1], '(%d+)$')) or 0
  if asked < old and not there[process or ''] then redis.call('HDEL', KEYS[3], all[at]) end
end
return 1
";

/// `KEYS`: sessions, the session's key. `ARGV`: session, record. Answers 1 where the session is there.
pub(super) const TELL: &str = r"#!lua flags=allow-oom
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
";

/// `KEYS`: sessions, the session's key, requests. `ARGV`: session. Ends it, with what was asked of its process.
pub(super) const CLOSE: &str = r"#!lua flags=allow-oom
local record = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
local process = string.match(record or '', '^%x+')
if not process then return 1 end
redis.call('HDEL', KEYS[3], 'drain:' .. process)
local all = redis.call('HGETALL', KEYS[3])
for at = 1, #all, 2 do
  if string.match(all[at + 1], '^%x+') == process and string.match(all[at], '^move:') then redis.call('HDEL', KEYS[3], all[at]) end
end
return 1
";

/// `KEYS`: sessions, leases, requests. `ARGV`: what keys of sessions begin with. Answers `{time in ms, run id, {session,
/// record, remaining ms, ...}, leases, requests}`.
pub(super) const POLL: &str = r"#!lua flags=no-writes,allow-oom
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local info, run = redis.pcall('INFO', 'server'), ''
if type(info) == 'string' then run = string.match(info, 'run_id:(%x+)') or '' end
local all, sessions = redis.call('HGETALL', KEYS[1]), {}
for at = 1, #all, 2 do
  local left = redis.call('PTTL', ARGV[1] .. all[at])
  if left > 0 then
    sessions[#sessions + 1] = all[at]
    sessions[#sessions + 1] = all[at + 1]
    sessions[#sessions + 1] = string.format('%.0f', left)
  end
end
return {now, run, sessions, redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])}
";

/// `KEYS`: leases. `ARGV`: connection, session, the session judged dead or `-`, the highest number that is known, where it
/// leads. Answers `{1, number}`, or `{0, lease}` when somebody else holds it.
pub(super) const TAKE: &str = r"#!lua flags=allow-oom
local stored, number = redis.call('HGET', KEYS[1], ARGV[1]), 0
if stored then
  local first, holder = string.match(stored, '^(%d+) (%S+)')
  number = tonumber(first) or 0
  if holder and holder ~= '-' and holder ~= ARGV[2] and holder ~= ARGV[3] then return {'0', stored} end
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local granted = string.format('%.0f', math.max(number + 1, tonumber(ARGV[4]) + 1, now))
redis.call('HSET', KEYS[1], ARGV[1], granted .. ' ' .. ARGV[2] .. ' - ' .. ARGV[5])
return {'1', granted}
";

/// `KEYS`: leases. `ARGV`: connection, number. Ends that lease; its number stays.
pub(super) const RELEASE: &str = r"#!lua flags=allow-oom
local stored = redis.call('HGET', KEYS[1], ARGV[1])
local number, rest = string.match(stored or '', '^(%d+) %S+ %S+ (.*)$')
if number == ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], number .. ' - - ' .. rest) end
return 1
";

/// `KEYS`: leases. `ARGV`: connection, number, who asks. The first to ask stays.
pub(super) const ASK: &str = r"#!lua flags=allow-oom
local stored = redis.call('HGET', KEYS[1], ARGV[1])
local number, holder, by, rest = string.match(stored or '', '^(%d+) (%S+) (%S+) (.*)$')
if number == ARGV[2] and holder ~= '-' and by == '-' then
  redis.call('HSET', KEYS[1], ARGV[1], number .. ' ' .. holder .. ' ' .. ARGV[3] .. ' ' .. rest)
end
return 1
";

/// `KEYS`: requests. `ARGV`: field, and what stands before the time; without that the request is taken back.
pub(super) const REQUEST: &str = r"#!lua flags=allow-oom
if not ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. string.format('%.0f', tonumber(time[1]) * 1000))
return 1
";

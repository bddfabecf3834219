-- Which channels an account has joined, and which channel an address belongs to.
--
-- Owns: the store "mix_pam", account -> { [channel] = { id = participant id } }, and its cache.
-- Does not own: the roster item of a channel (roster.lib.lua).
-- Read next: requests.lib.lua.

local jid = require "util.jid";
local new_cache = require "util.cache".new;

local store = module:open_store("mix_pam");
local map = module:open_store("mix_pam", "map");
local cache = new_cache(module:get_option_number("mix_pam_cache_size", 4096));

local channels = {};

-- The records of an account. Where the store fails: none, and an error.
function channels.of(username)
	local records = cache:get(username);
	if records then return records; end
	local err;
	records, err = store:get(username);
	if err then
		module:log("error", "Could not load the MIX channels of %s: %s", username, err);
		return {}, err;
	end
	records = records or {};
	cache:set(username, records);
	return records;
end

-- Sets a record, or removes it (nil); in the store first. Returns whether that worked.
function channels.set(username, channel, record)
	local records, err = channels.of(username);
	if err then return false; end
	local ok;
	ok, err = map:set(username, channel, record);
	if not ok then
		module:log("error", "Could not save MIX channel %s of %s: %s", channel, username, err);
		return false;
	end
	records[channel] = record;
	return true;
end

-- Forgets an account.
function channels.clear(username)
	store:set(username, nil);
	cache:set(username, nil);
end

-- The channel that an address belongs to: its bare JID, or what follows the first "#"
-- in an encoded JID (MIX-PAMS-17).
function channels.at(address)
	local node, domain = jid.split(address);
	return node and jid.join(node:match("^[^#]+#(.+)$") or node, domain);
end

-- The channel of this address, if the account has joined it.
function channels.joined(username, address)
	local channel = channels.at(address);
	return channel and channels.of(username)[channel] and channel;
end

-- A channel's address as a client gave it, prepared; nil if it cannot be one (MIX-PAMS-05).
function channels.address(text)
	local node, domain, resource = jid.prepped_split(text);
	if not node or resource or node:find("#", 1, true) then return nil; end
	return jid.join(node, domain);
end

return channels;

-- The account's archive (MIX-PAMS-03, -18), and keeping other modules from copying or bouncing
-- what comes from a channel.
--
-- Owns: which groupchat is archived. Does not own: the archive and its rules (mod_mam).

local jid = require "util.jid";

local host = module.host;
local modules = prosody.hosts[host].modules;
local xmlns_core = "urn:xmpp:mix:core:1";
local xmlns_event = "http://jabber.org/protocol/pubsub#event";
local xmlns_hints = "urn:xmpp:hints";
local xmlns_sid = "urn:xmpp:sid:0";

local wanted = module:get_option_boolean("mix_pam_archive", true);
local default_policy = module:get_option("default_archive_policy", true);
local smart_enable = module:get_option_boolean("mam_smart_enable", false);
local prefs_store = module:open_store(module:get_option_string("archive_store", "archive").."_prefs");

-- A message with nothing but these is not kept.
local passing = {
	[xmlns_core] = true; [xmlns_hints] = true; [xmlns_sid] = true; ["urn:xmpp:occupant-id:0"] = true;
	["http://jabber.org/protocol/chatstates"] = true;
};

local function is_worth_keeping(stanza)
	if stanza:get_child("no-store", xmlns_hints) or stanza:get_child("no-permanent-store", xmlns_hints) then
		return false;
	end
	for _, tag in ipairs(stanza.tags) do
		if not passing[tag.attr.xmlns or ""] and tag.name ~= "thread" then return true; end
	end
	return false;
end

return function (channels, requests)
	local archive = {};

	-- Whether mod_mam keeps what this account gets from its channels.
	function archive.keeps(username)
		if not wanted or not modules.mam then return false; end
		local prefs = prefs_store:get(username);
		if prefs then return prefs[false] and true or false; end
		return not smart_enable and default_policy ~= false and default_policy ~= "false";
	end

	-- Whether this is a groupchat copy from a channel to an account of ours.
	local function is_channel_copy(stanza)
		local username, domain, resource = jid.split(stanza.attr.to);
		return stanza.attr.type == "groupchat" and username and domain == host and not resource
			and requests.expected(username, stanza.attr.from);
	end

	-- Only the archive gives ids in the account's name. (mod_mam of 0.12 lets others through beside its own.)
	module:hook("message/bare", function (event)
		local stanza = event.stanza;
		if not is_channel_copy(stanza) then return; end
		stanza:maptags(function (tag)
			local is_forged = tag.name == "stanza-id" and tag.attr.xmlns == xmlns_sid and jid.prep(tag.attr.by) == stanza.attr.to;
			if not is_forged then return tag; end
		end);
	end, 20);

	module:hook("archive-should-store", function (event)
		if wanted and is_channel_copy(event.stanza) and is_worth_keeping(event.stanza) then
			event.reason = "mix";
			return true;
		end
	end);

	-- mod_carbons means to copy what was archived, which would reach sessions that do not speak MIX.
	-- (That rule of it has no effect in 0.12.3.)
	module:hook("carbons-should-copy", function (event)
		if is_channel_copy(event.stanza) then
			event.reason = "mix";
			return false;
		end
	end);

	-- A session ended and its client did not acknowledge this: these are copies, no bounce.
	module:hook("delivery/failure", function (event)
		local username, stanza = event.session.username, event.stanza;
		if not username or not channels.joined(username, stanza.attr.from) then return; end
		if stanza:get_child("mix", xmlns_core) or stanza:get_child("event", xmlns_event) then return true; end
	end, 10);

	return archive;
end

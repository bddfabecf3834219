-- The roster item of a joined channel (MIX-PAMS-11, -12, -13) and its annotation (MIX-PAMS-21).
--
-- Owns: making, changing and removing these items, and the <channel/> in what clients that asked
-- for it get of them.
-- Read next: preferences.lib.lua.

local st = require "util.stanza";
local filters = require "util.filters";
local rostermanager = require "core.rostermanager";

local host = module.host;
local xmlns_annotate = "urn:xmpp:mix:roster:0";
local xmlns_roster = "jabber:iq:roster";

-- The channel gets the user's presence, or not; whether the user gets the channel's stays as it is.
local subscriptions = {
	[true] = { none = "from", to = "both", from = "from", both = "both" };
	[false] = { none = "none", to = "to", from = "none", both = "to" };
};

return function (channels, sessions, presence)
	local roster = {};

	local function save(username, channel, item)
		local items, err = rostermanager.load_roster(username, host);
		if err then return false; end
		local old = items[channel];
		items[channel] = item;
		if not rostermanager.save_roster(username, host, items, channel) then
			items[channel] = old;
			module:log("error", "Could not save MIX channel %s in the roster of %s", channel, username);
			return false;
		end
		rostermanager.roster_push(username, host, channel);
		return true;
	end

	-- Makes or changes the item, pushes it, and sends the presence that follows. Returns whether that worked.
	function roster.set_sharing(username, channel, share)
		local item = { groups = {}, subscription = "none" };
		for key, value in pairs(rostermanager.load_roster(username, host)[channel] or {}) do item[key] = value; end
		item.subscription = subscriptions[share][item.subscription] or (share and "from" or "none");
		if not share and presence.shares(username, channel) then presence.send_all(username, channel, true); end
		if not save(username, channel, item) then return false; end
		if share then presence.send_all(username, channel); end
		return true;
	end

	function roster.remove(username, channel)
		return save(username, channel, nil);
	end

	-- Filter of outgoing stanzas, in sessions that asked for annotations: roster results and pushes.
	local function annotate(stanza, session)
		if not st.is_stanza(stanza) or stanza.name ~= "iq" or not stanza:get_child("query", xmlns_roster) then
			return stanza;
		end
		local records, copy = channels.of(session.username), st.clone(stanza);
		for _, item in ipairs(copy:get_child("query", xmlns_roster).tags) do
			local record = item.name == "item" and item.attr.subscription ~= "remove" and records[item.attr.jid];
			if record then
				item:add_direct_child(st.stanza("channel", { xmlns = xmlns_annotate, ["participant-id"] = record.id }));
			end
		end
		return copy;
	end

	function roster.remove_filter(session)
		filters.remove_filter(session, "stanzas/out", annotate);
	end

	-- Brings the session's filters in line with what its client asked for.
	function roster.apply_filter(session)
		if session.mix_pam and session.mix_pam.annotate then
			filters.add_filter(session, "stanzas/out", annotate);
		else
			roster.remove_filter(session);
		end
	end

	module:hook("iq/self/"..xmlns_roster..":query", function (event)
		local session, stanza = event.origin, event.stanza;
		if stanza.attr.type ~= "get" then return; end
		local query = stanza.tags[1];
		local wanted = query:get_child("annotate", xmlns_annotate) ~= nil;
		sessions.state(session).annotate = wanted or nil;
		roster.apply_filter(session);
		if wanted then query.attr.ver = nil; end -- what the client has cached may lack annotations
	end, 10);

	-- A resumed stream (XEP-0198) brings filters of its own.
	module:hook("smacks-hibernation-end", function (event)
		if event.resumed then roster.apply_filter(event.resumed); end
	end);

	return roster;
end

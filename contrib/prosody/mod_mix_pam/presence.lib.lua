-- Presence between an account's sessions and its channels (MIX-PAMS-15, -19, -20).
--
-- Owns: which presence goes out to a channel and who gets what comes from it.
-- Does not own: the roster item that decides whether presence is shared (roster.lib.lua);
-- subscriptions (mod_presence).
-- Read next: features.lib.lua.

local st = require "util.stanza";
local jid = require "util.jid";
local rostermanager = require "core.rostermanager";

local host = module.host;
local core_post_stanza = prosody.core_post_stanza;

return function (channels, requests, sessions)
	local presence = {};

	-- Whether the channel gets presence: roster subscription `from` or `both` (MIX-PAMS-12).
	function presence.shares(username, channel)
		local item = rostermanager.load_roster(username, host)[channel];
		return item ~= nil and (item.subscription == "from" or item.subscription == "both");
	end

	local function send(session, to, unavailable)
		local stanza = unavailable and st.presence({ type = "unavailable" }) or st.clone(session.presence);
		stanza.attr.from, stanza.attr.to = session.full_jid, to;
		core_post_stanza(session, stanza, true);
	end

	-- Presence of all MIX sessions to one address. Returns how many there are.
	function presence.send_all(username, to, unavailable)
		local count = 0;
		for _, session in sessions.of(username) do
			if session.presence and sessions.speaks_mix(session) then
				send(session, to, unavailable);
				count = count + 1;
			end
		end
		return count;
	end

	-- Presence of one session to all channels that get it.
	function presence.send_to_channels(session, unavailable)
		for channel in pairs(channels.of(session.username)) do
			if presence.shares(session.username, channel) then send(session, channel, unavailable); end
		end
	end

	-- Channels' presence is not kept: a session that begins to speak MIX makes us ask for it (MIX-PAMS-20).
	function presence.refresh(session)
		if not session.presence or not sessions.speaks_mix(session) then return; end
		local from = jid.join(session.username, host);
		for channel in pairs(channels.of(session.username)) do
			module:send(st.presence({ from = from, to = channel }));
		end
	end

	local function answer_probe(username, channel, prober)
		if not presence.shares(username, channel) then return; end -- mod_presence refuses it
		if presence.send_all(username, prober) == 0 then
			module:send(st.presence({ from = jid.join(username, host), to = prober, type = "unavailable" }));
		end
		return true;
	end

	-- From a channel. Above mod_pep, which would take a channel's presence for a contact's.
	module:hook("presence/bare", function (event)
		local stanza = event.stanza;
		local from, kind, username = stanza.attr.from, stanza.attr.type, jid.node(stanza.attr.to);
		local channel = username and from and requests.expected(username, from);
		if not channel then return; end
		if not kind or kind == "unavailable" then
			sessions.distribute(username, stanza);
			return true;
		elseif kind == "error" then
			return true; -- our own question, refused
		elseif kind == "probe" then
			return answer_probe(username, channel, from);
		end
	end, 20);

	-- To a channel: only from sessions that speak MIX (MIX-PAMS-15); probes show an address too. A MUC
	-- client's presence goes to channel/nick and is not concerned.
	module:hook("pre-presence/bare", function (event)
		local session, to, kind = event.origin, event.stanza.attr.to, event.stanza.attr.type;
		if not to or not session.username then return; end
		if kind and kind ~= "unavailable" and kind ~= "probe" then return; end
		if channels.joined(session.username, to) and not sessions.speaks_mix(session) then return true; end
	end, 10);

	-- mod_presence does not note directed presence to an address of a subscribed contact, since that
	-- gets the broadcast. A MUC occupant channel/nick does not, and would never be seen to leave.
	module:hook("pre-presence/full", function (event)
		local session, to, kind = event.origin, event.stanza.attr.to, event.stanza.attr.type;
		if not session.username or (kind and kind ~= "unavailable") then return; end
		if not channels.joined(session.username, to) then return; end
		session.directed = session.directed or {};
		session.directed[to] = not kind or nil;
	end, -1);

	return presence;
end

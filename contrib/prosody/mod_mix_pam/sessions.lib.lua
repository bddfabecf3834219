-- The sessions of an account, and delivery to those that speak MIX (MIX-PAMS-16).
--
-- Owns: session.mix_pam, what this module knows of a session; it lives in the session, so that it
-- survives a reload: capable (speaks MIX), caps (what that was learnt from), held (stanzas that wait
-- for it), annotate (wants roster annotations), wishes (preferences.lib.lua).
-- Does not own: how capability is learnt (features.lib.lua).
-- Read next: features.lib.lua, presence.lib.lua.

local st = require "util.stanza";

local host_session = prosody.hosts[module.host];
local max_held = 100; -- stanzas kept for a session whose features are being asked for

local sessions = {};

function sessions.state(session)
	session.mix_pam = session.mix_pam or {};
	return session.mix_pam;
end

function sessions.speaks_mix(session)
	return session.mix_pam and session.mix_pam.capable or false;
end

-- Iterates over (resource, session) of one account.
function sessions.of(username)
	local user = host_session.sessions[username];
	return pairs(user and user.sessions or {});
end

function sessions.each(action)
	for _, user in pairs(host_session.sessions) do
		for _, session in pairs(user.sessions) do action(session); end
	end
end

local function send_copy(session, stanza)
	local copy = st.clone(stanza);
	copy.attr.to = session.full_jid;
	session.send(copy);
end

-- A copy to each available session that speaks MIX, whatever its priority; to none if there is none.
function sessions.distribute(username, stanza)
	for _, session in sessions.of(username) do
		local state = session.presence and session.mix_pam;
		if state and state.capable then
			send_copy(session, stanza);
		elseif state and state.held and #state.held < max_held then
			table.insert(state.held, st.clone(stanza));
		end
	end
end

-- From now on distribute() keeps stanzas for this session, until release().
function sessions.hold(session)
	local state = sessions.state(session);
	state.held = state.held or {};
end

-- Ends hold(): the session gets what was kept for it, if it speaks MIX.
function sessions.release(session)
	local state = sessions.state(session);
	local held = state.held or {};
	state.held = nil;
	for _, stanza in ipairs(state.capable and held or {}) do send_copy(session, stanza); end
end

return sessions;

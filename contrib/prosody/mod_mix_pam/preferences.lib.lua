-- The preference "Presence" (XEP-0404 §3.1), which decides the roster subscription (MIX-PAMS-12).
--
-- Owns: reading it from joins, and from the preference changes that clients send to their channels.
-- A channel may turn sharing off; only the user turns it on.
-- Read next: roster.lib.lua.

local xmlns_anon = "urn:xmpp:mix:anon:0";
local max_wishes = 16; -- preference changes of one session that wait for their channel

return function (channels, sessions, presence, roster)
	local preferences = {};

	-- What the form inside this element (or nil) says: true (share), false (not share), nil (nothing).
	function preferences.presence(element)
		local form = element and element:get_child("x", "jabber:x:data");
		local values = {};
		for _, field in ipairs(form and form.tags or {}) do
			if field.attr.var then values[field.attr.var] = field:get_child_text("value"); end
		end
		if values.FORM_TYPE ~= xmlns_anon or not values.Presence then return nil; end
		return values.Presence:lower() ~= "not share";
	end

	-- Whether to share, by what the user asked for and what the channel answered.
	function preferences.decide(username, channel, wish, answer)
		if wish == false or answer == false then return false; end
		if wish == nil and channels.joined(username, channel) then return presence.shares(username, channel); end
		return true;
	end

	module:hook("pre-iq/bare", function (event)
		local session, stanza = event.origin, event.stanza;
		local to = stanza.attr.to;
		local share = preferences.presence(stanza:get_child("user-preference", xmlns_anon));
		if share == nil or stanza.attr.type ~= "set" or not session.username then return; end
		if not to or channels.joined(session.username, to) ~= to then return; end
		local state = sessions.state(session);
		state.wishes = state.wishes or {};
		if #state.wishes >= max_wishes then table.remove(state.wishes, 1); end
		table.insert(state.wishes, { id = stanza.attr.id, channel = to, share = share });
	end);

	local function take_wish(session, stanza)
		for i, wish in ipairs(session and session.mix_pam and session.mix_pam.wishes or {}) do
			if wish.id == stanza.attr.id and wish.channel == stanza.attr.from then
				return table.remove(session.mix_pam.wishes, i);
			end
		end
	end

	-- The channel's answer on its way to the client.
	module:hook("iq/full", function (event)
		local stanza = event.stanza;
		if stanza.attr.type ~= "result" and stanza.attr.type ~= "error" then return; end
		local session = prosody.full_sessions[stanza.attr.to];
		local wish = take_wish(session, stanza);
		if not wish or stanza.attr.type == "error" or not channels.joined(session.username, wish.channel) then return; end
		local answer = preferences.presence(stanza:get_child("user-preference", xmlns_anon));
		roster.set_sharing(session.username, wish.channel,
			preferences.decide(session.username, wish.channel, wish.share, answer));
	end, 10);

	return preferences;
end

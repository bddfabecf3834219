-- Which sessions speak MIX: those whose client lists `urn:xmpp:mix:core:1` (MIX-PAMS-14).
--
-- Owns: asking clients (disco#info), by entity capabilities (XEP-0115) where they have them.
-- A client that does not answer does not speak MIX, and is asked again at its next presence.
-- Read next: sessions.lib.lua.

local st = require "util.stanza";
local calculate_hash = require "util.caps".calculate_hash;
local new_cache = require "util.cache".new;
local new_id = require "util.id".medium;

local xmlns_core = "urn:xmpp:mix:core:1";
local xmlns_disco = "http://jabber.org/protocol/disco#info";

return function (requests, sessions, presence)
	local features = {};

	-- account .. NUL .. caps -> whether they have core. Only caps whose hash was right; and per account,
	-- since that hash can be forged with some effort.
	local verified = new_cache(4096);

	local function cache_key(session, caps)
		return session.username.."\0"..caps;
	end

	local function set_capable(session, capable)
		local state = sessions.state(session);
		if state.capable and not capable and session.presence then
			presence.send_to_channels(session, true); -- while it may still send
		end
		state.capable = capable;
		sessions.release(session);
	end

	local function has_feature(query, var)
		for feature in query:childtags("feature", xmlns_disco) do
			if feature.attr.var == var then return true; end
		end
		return false;
	end

	function requests.answered.features(request, answer)
		local session = request.session;
		local state = session.mix_pam;
		if not state or state.caps ~= request.caps then return; end -- gone, or asked anew
		local query = answer and answer.attr.type == "result" and answer:get_child("query", xmlns_disco);
		local was, capable = state.capable, query and has_feature(query, xmlns_core) or false;
		if not query then
			state.caps = nil;
		elseif request.ver and calculate_hash(query.tags) == request.ver then
			verified:set(cache_key(session, request.caps), capable);
		end
		set_capable(session, capable);
		if capable and not was and session.presence then
			presence.send_to_channels(session);
			presence.refresh(session);
		end
	end

	-- `c` is the caps element, nil for a client without.
	local function ask(session, c)
		local hashed = c and c.attr.hash and c.attr.node;
		local iq = st.iq({ type = "get", to = session.full_jid, id = new_id() })
			:tag("query", { xmlns = xmlns_disco, node = hashed and c.attr.node.."#"..c.attr.ver or nil }):up();
		sessions.hold(session);
		requests.ask(iq, {
			kind = "features", username = session.username, session = session,
			caps = session.mix_pam.caps, ver = hashed and c.attr.hash == "sha-1" and c.attr.ver or nil,
		});
	end

	-- Learns from a presence of the session whether it speaks MIX. Presence without caps changes nothing.
	function features.learn(session, stanza)
		local state = sessions.state(session);
		local c = stanza:get_child("c", "http://jabber.org/protocol/caps");
		if c and not c.attr.ver then c = nil; end
		local caps = c and table.concat({ c.attr.hash or "", c.attr.node or "", c.attr.ver }, "\0") or state.caps or "";
		if caps == state.caps then return; end -- known, or being asked
		state.caps = caps;
		local capable = verified:get(cache_key(session, caps));
		if capable == nil then
			ask(session, c);
		else
			set_capable(session, capable);
		end
	end

	-- Around everything that happens to a client's own available presence: it must be known what the
	-- client speaks before mod_presence sends it on, and the session be available before it gets an answer.
	module:wrap_event("presence/bare", function (handlers, name, event)
		local session, stanza = event.origin, event.stanza;
		if stanza.attr.to or stanza.attr.type or session.type ~= "c2s" then return handlers(name, event); end
		local was = session.presence and sessions.speaks_mix(session);
		features.learn(session, stanza);
		local handled = handlers(name, event);
		if sessions.speaks_mix(session) and not was then presence.refresh(session); end
		return handled;
	end);

	return features;
end

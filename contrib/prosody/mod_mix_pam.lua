-- mod_mix_pam: the participant's server of MIX (XEP-0405 0.5.3), for any MIX service.
--
-- This file owns what clients ask for (client-join, client-leave, discovery), delivery of messages,
-- and the life of the module; the files in mod_mix_pam/ own the rest, one subject each.
-- Does not own: channels and their rules, the archive (mod_mam), blocking (mod_blocklist).
-- Read next: README.md, mod_mix_pam/channels.lib.lua. MIX-PAMS-nn and X-nn in comments are rows of
-- docs/requirements/mix.md.

local st = require "util.stanza";
local jid = require "util.jid";
local new_id = require "util.id".medium;

if module:get_host_type() ~= "local" then
	error("mod_mix_pam serves the users of a VirtualHost; enable it there", 0);
end

local channels = module:require "channels";
local sessions = module:require "sessions";
local requests = module:require "requests"(channels);
local presence = module:require "presence"(channels, requests, sessions);
local features = module:require "features"(requests, sessions, presence);
local roster = module:require "roster"(channels, sessions, presence);
local preferences = module:require "preferences"(channels, sessions, presence, roster);
local archive = module:require "archive"(channels, requests);

local xmlns_core = "urn:xmpp:mix:core:1";
local xmlns_pam = "urn:xmpp:mix:pam:2";
local xmlns_event = "http://jabber.org/protocol/pubsub#event";
local xmlns_errors = "urn:ietf:params:xml:ns:xmpp-stanzas";

local max_channels = module:get_option_number("mix_pam_max_channels", 500);
local max_requests = 16; -- joins and leaves of one account that wait for their channel

local function bare_jid(username)
	return jid.join(username, module.host);
end

--- Messages from channels

module:hook("message/bare/groupchat", function (event)
	local stanza = event.stanza;
	local username, _, resource = jid.split(stanza.attr.to);
	-- With a resource it is a MUC's message to an occupant that is gone: it must bounce.
	if not username or resource or not requests.expected(username, stanza.attr.from) then return; end
	sessions.distribute(username, stanza);
	return true;
end);

-- PubSub events: type normal or headline, no body (X-46).
module:hook("message/bare", function (event)
	local stanza = event.stanza;
	local kind, username = stanza.attr.type or "normal", jid.node(stanza.attr.to);
	if not username or (kind ~= "normal" and kind ~= "headline") then return; end
	if not stanza:get_child("event", xmlns_event) or not requests.expected(username, stanza.attr.from) then return; end
	sessions.distribute(username, stanza);
	return true;
end, 10);

--- Answers to client-join and client-leave

-- The client's IQ, to be answered.
local function client_iq(request)
	return st.iq({ type = "set", id = request.id, from = request.jid, to = bare_jid(request.username) });
end

local function refuse(request, kind, condition, text)
	request.session.send(st.error_reply(client_iq(request), kind, condition, text));
end

-- The channel's error as it is: its texts and details may help the client (X-11).
local function pass_error(request, answer)
	local err = answer:get_child("error");
	if not err or not err:child_with_ns(xmlns_errors) then
		return refuse(request, "cancel", "undefined-condition", "The channel refused without a reason");
	end
	local reply = st.reply(client_iq(request));
	reply.attr.type = "error";
	err = st.clone(err);
	err.attr.type = err.attr.type or "cancel";
	request.session.send(reply:add_child(err));
end

local function succeed(request, inner)
	request.session.send(st.reply(client_iq(request))
		:tag("client-"..request.kind, { xmlns = xmlns_pam }):add_child(inner));
end

local function send_leave(username, channel)
	module:send(st.iq({ type = "set", id = new_id(), from = bare_jid(username), to = channel })
		:tag("leave", { xmlns = xmlns_core }));
end

-- The client was told that it is not in: then the channel shall think so too.
local function take_back(request)
	local username, channel = request.username, request.channel;
	if not channels.joined(username, channel) and requests.count(username, "join", channel) == 0 then
		send_leave(username, channel);
	end
end

-- Attribute `id`; older services have only `jid` = id#channel (X-09).
local function participant_id(join)
	return join.attr.id or (join.attr.jid or ""):match("^([^#/@]+)#");
end

local function remember(request, join)
	local username, channel = request.username, request.channel;
	local share = preferences.decide(username, channel, request.share, preferences.presence(join));
	local before = channels.of(username)[channel];
	if not channels.set(username, channel, { id = participant_id(join) }) then return false; end
	if roster.set_sharing(username, channel, share) then return true; end
	channels.set(username, channel, before);
	return false;
end

function requests.answered.join(request, answer)
	local join = answer and answer:get_child("join", xmlns_core);
	if not answer then
		refuse(request, "wait", "remote-server-timeout", "The channel did not answer");
		take_back(request);
	elseif answer.attr.type == "error" then
		pass_error(request, answer);
	elseif not join then
		refuse(request, "cancel", "undefined-condition", "The channel's answer was not understood");
		take_back(request);
	elseif not remember(request, join) then
		refuse(request, "wait", "internal-server-error");
		take_back(request);
	else
		succeed(request, st.clone(join));
	end
end

local function is_gone(answer)
	local _, condition = answer:get_error();
	return condition == "item-not-found" or condition == "gone";
end

-- A contact that is no joined channel stays in the roster.
local function forget(username, channel)
	if not channels.joined(username, channel) then return true; end
	return channels.set(username, channel, nil) and roster.remove(username, channel);
end

function requests.answered.leave(request, answer)
	if not answer then
		refuse(request, "wait", "remote-server-timeout", "The channel did not answer");
	elseif answer.attr.type == "error" and not is_gone(answer) then
		pass_error(request, answer);
	elseif not forget(request.username, request.channel) then
		refuse(request, "wait", "internal-server-error");
	else
		succeed(request, st.stanza("leave", { xmlns = xmlns_core }));
	end
end

--- client-join and client-leave (MIX-PAMS-04, -05, -06, -10)

local function only_child(element, name, xmlns)
	local found;
	for child in element:childtags(name, xmlns) do
		if found then return nil; end
		found = child;
	end
	return found;
end

local function is_full(username, kind, channel)
	local count = requests.count(username, "join");
	if count + requests.count(username, "leave") >= max_requests then return true; end
	if kind == "leave" or channels.joined(username, channel) then return false; end
	for _ in pairs(channels.of(username)) do count = count + 1; end
	return count >= max_channels;
end

local function forward(session, stanza, kind)
	local username, wrapper = session.username, stanza.tags[1];
	local channel = channels.address(wrapper.attr.channel);
	local inner = only_child(wrapper, kind, xmlns_core);
	local request = { kind = kind, username = username, session = session, jid = session.full_jid,
		id = stanza.attr.id, channel = channel };
	if stanza.attr.type ~= "set" or not inner or not channel or channel == bare_jid(username) then
		return refuse(request, "modify", "bad-request");
	elseif is_full(username, kind, channel) then
		return refuse(request, "wait", "resource-constraint", "Too many channels, or too many requests at once");
	end
	request.share = preferences.presence(inner);
	-- The client's own id goes on to the channel, unless the same is on its way there already.
	local id = requests.waits(username, channel, request.id) and new_id() or request.id;
	requests.ask(st.iq({ type = "set", to = channel, id = id }):add_child(st.clone(inner)), request);
end

for _, kind in ipairs({ "join", "leave" }) do
	module:hook("iq/bare/"..xmlns_pam..":client-"..kind, function (event)
		local session, stanza = event.origin, event.stanza;
		if stanza.attr.to or session.type ~= "c2s" then -- `to` was taken away if it is the own account
			session.send(st.error_reply(stanza, "auth", "forbidden"));
		else
			forward(session, stanza, kind);
		end
		return true;
	end);
end

--- Other ways to leave

-- The user deletes the roster item (MIX-PAMS-13).
module:hook("roster-item-removed", function (event)
	if channels.joined(event.username, event.jid) ~= event.jid then return; end
	channels.set(event.username, event.jid, nil);
	send_leave(event.username, event.jid);
end, 10);

-- The account is removed (MIX-PAMS-24). Before mod_roster goes through the roster.
module:hook_global("user-deleted", function (event)
	if event.host ~= module.host then return; end
	for channel in pairs(channels.of(event.username)) do send_leave(event.username, channel); end
	channels.clear(event.username);
end, 310);

--- Discovery (MIX-PAMS-01, -02)

module:add_feature(xmlns_pam); -- for clients that look at the server (X-33)

module:hook("account-disco-info", function (event)
	local session, reply = event.origin, event.reply;
	if session.type ~= "c2s" or session.host ~= module.host then return; end
	if jid.bare(reply.attr.from) ~= bare_jid(session.username) then return; end
	reply:tag("feature", { var = xmlns_pam }):up();
	if archive.keeps(session.username) then
		reply:tag("feature", { var = xmlns_pam.."#archive" }):up();
	end
end);

--- Life of the module. A reload loses nothing: requests are handed over, the rest is in the sessions.

function module.load()
	sessions.each(function (session)
		roster.apply_filter(session);
		if session.presence then features.learn(session, session.presence); end
	end);
end

function module.save()
	return { requests = requests.save() };
end

function module.restore(saved)
	requests.restore(saved.requests or {});
end

function module.unload()
	sessions.each(function (session)
		roster.remove_filter(session);
		if not module.reloading then session.mix_pam = nil; end
	end);
	if not module.reloading then
		requests.cancel({ join = true, leave = true }, function (request)
			refuse(request, "wait", "internal-server-error", "The service was stopped");
		end);
	end
end

-- IQs that this server sends from an account's bare JID and whose answer it waits for.
--
-- Owns: the table of waiting requests and their time-outs. Requests are plain data, so that
-- they survive a reload of the module.
-- Does not own: what an answer means: `requests.answered[kind]`, set by others.
-- Read next: mod_mix_pam.lua (kinds "join", "leave"), features.lib.lua (kind "features").

local jid = require "util.jid";
local time_now = require "util.time".now;

local timeout = module:get_option_number("mix_pam_request_timeout", 20);

return function (channels)
	local pending = {}; -- account -> { [answerer .. NUL .. id] = request }
	local requests = {};

	-- kind -> function (request, answer); answer is nil after a time-out
	requests.answered = {};

	local function key(from, id)
		return (from or "").."\0"..(id or "");
	end

	local function take(username, from, id)
		local waiting = pending[username];
		local request = waiting and waiting[key(from, id)];
		if not request then return nil; end
		request.timer:stop();
		waiting[key(from, id)] = nil;
		if not next(waiting) then pending[username] = nil; end
		return request;
	end

	local function put(request, seconds)
		local username, to, id = request.username, request.to, request.sent_id;
		pending[username] = pending[username] or {};
		pending[username][key(to, id)] = request;
		request.timer = module:add_timer(seconds, function ()
			if take(username, to, id) == request then requests.answered[request.kind](request); end
		end);
	end

	-- Sends an IQ from the bare JID of request.username; requests.answered[request.kind] gets the answer.
	function requests.ask(iq, request)
		iq.attr.from = jid.join(request.username, module.host);
		request.to, request.sent_id, request.deadline = iq.attr.to, iq.attr.id, time_now() + timeout;
		put(request, timeout);
		module:send(iq);
	end

	-- Whether a request with this id waits for this address.
	function requests.waits(username, to, id)
		return pending[username] ~= nil and pending[username][key(to, id)] ~= nil;
	end

	-- How many requests of this kind (and, if given, for this channel) wait.
	function requests.count(username, kind, channel)
		local count = 0;
		for _, request in pairs(pending[username] or {}) do
			if request.kind == kind and (not channel or request.channel == channel) then count = count + 1; end
		end
		return count;
	end

	-- The channel of this address, if the account has joined it or is just joining: channels
	-- send events before they answer the join (MIX-JOIN-08).
	function requests.expected(username, address)
		local channel = channels.joined(username, address);
		if channel or not pending[username] then return channel; end
		channel = channels.at(address);
		return channel and requests.count(username, "join", channel) > 0 and channel;
	end

	-- For module.save, module.restore.
	function requests.save()
		return pending;
	end

	function requests.restore(saved)
		for _, waiting in pairs(saved) do
			for _, request in pairs(waiting) do
				put(request, math.max(0, request.deadline - time_now()));
			end
		end
	end

	-- Ends all requests of these kinds; `action` gets each.
	function requests.cancel(kinds, action)
		for _, waiting in pairs(pending) do
			for _, request in pairs(waiting) do
				if kinds[request.kind] then action(request); end
			end
		end
		pending = {};
	end

	-- Above mod_blocklist: the user asked, and wants to leave a blocked channel too.
	module:hook("iq/bare", function (event)
		local stanza = event.stanza;
		if stanza.attr.type ~= "result" and stanza.attr.type ~= "error" then return; end
		local username = jid.node(stanza.attr.to) or event.origin.username;
		local request = username and take(username, stanza.attr.from, stanza.attr.id);
		if not request then return; end
		requests.answered[request.kind](request, stanza);
		return true;
	end, 110);

	return requests;
end

//! Namespaces, each under one name.
//!
//! Owns the spelling of every namespace that this crate reads or writes. What may be sent in them is said where the
//! feature is.

macro_rules! namespaces {
    ($($(#[$doc:meta])* $name:ident = $uri:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $uri;)*

        /// All namespaces named in this module, for tests that walk them.
        pub const ALL: &[&str] = &[$($uri),*];
    };
}

namespaces! {
    /// Elements of client streams; also the one name under which payloads of the stanza's own namespace are reported.
    CLIENT = "jabber:client";
    /// Elements of server-to-server streams.
    SERVER = "jabber:server";
    /// XEP-0114: stanzas on a component stream.
    COMPONENT = "jabber:component:accept";
    /// RFC 6120 §4.8.1: the stream element, features, errors.
    STREAM = "http://etherx.jabber.org/streams";
    /// RFC 6120 §4.9.3: conditions of stream errors.
    STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams";
    /// RFC 6120 §8.3.3: conditions of stanza errors.
    STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas";
    /// The namespace of the prefix `xml`.
    XML = "http://www.w3.org/XML/1998/namespace";
    /// The namespace of the prefix `xmlns`, never to be bound.
    XMLNS = "http://www.w3.org/2000/xmlns/";

    /// XEP-0045: the join's `<x/>`.
    MUC = "http://jabber.org/protocol/muc";
    /// XEP-0045: what the room says about an occupant.
    MUC_USER = "http://jabber.org/protocol/muc#user";
    /// XEP-0045: roles and affiliations by moderators and admins.
    MUC_ADMIN = "http://jabber.org/protocol/muc#admin";
    /// XEP-0045: configuration and destroying.
    MUC_OWNER = "http://jabber.org/protocol/muc#owner";
    /// XEP-0045 §8.6: form of a request for voice.
    MUC_REQUEST = "http://jabber.org/protocol/muc#request";
    /// XEP-0045 §7.10: form of a registration.
    MUC_REGISTER = "http://jabber.org/protocol/muc#register";
    /// XEP-0045 §10: form of the configuration.
    MUC_ROOMCONFIG = "http://jabber.org/protocol/muc#roomconfig";
    /// XEP-0045 §6.4: form of extended information.
    MUC_ROOMINFO = "http://jabber.org/protocol/muc#roominfo";
    /// XEP-0045 §7.4: the id of a message is kept.
    MUC_STABLE_ID = "http://jabber.org/protocol/muc#stable_id";
    /// XEP-0045 §18.1.1: which payloads pass.
    MUC_TRAFFIC = "http://jabber.org/protocol/muc#traffic";
    /// XEP-0307: a unique room name.
    MUC_UNIQUE = "http://jabber.org/protocol/muc#unique";
    /// XEP-0410: the service answers self-pings itself.
    MUC_SELF_PING = "http://jabber.org/protocol/muc#self-ping-optimization";
    /// XEP-0463: versions of affiliation lists.
    MUC_AFFILIATIONS = "urn:xmpp:muc:affiliations:1";
    /// XEP-0436: versions of presence.
    MUC_PRESENCE_VERSIONING = "urn:xmpp:muc-presence-versioning:0";
    /// XEP-0502: activity of a room.
    MUC_ACTIVITY = "urn:xmpp:muc-activity";
    /// XEP-0488: invitations by token.
    MUC_TOKEN_INVITE = "urn:xmpp:muc-token-invite:0";
    /// XEP-0249: direct invitations.
    CONFERENCE = "jabber:x:conference";

    /// XEP-0369: channels.
    MIX_CORE = "urn:xmpp:mix:core:1";
    /// XEP-0369 in its older form, still sent by some servers.
    MIX_CORE_0 = "urn:xmpp:mix:core:0";
    /// XEP-0403: presence of participants.
    MIX_PRESENCE = "urn:xmpp:mix:presence:0";
    /// XEP-0404: visibility of real JIDs.
    MIX_ANON = "urn:xmpp:mix:anon:0";
    /// XEP-0406: configuration, allowed and banned.
    MIX_ADMIN = "urn:xmpp:mix:admin:0";
    /// XEP-0407: nicks, avatars, invitations, retraction.
    MIX_MISC = "urn:xmpp:mix:misc:0";
    /// XEP-0405: the participant's server.
    MIX_PAM = "urn:xmpp:mix:pam:2";
    /// XEP-0405: channels in the roster.
    MIX_ROSTER = "urn:xmpp:mix:roster:0";
    /// XEP-0408: where the other view is.
    MIX_MUC = "urn:xmpp:mix:muc:0";
    /// XEP-0408: form that names the MUC domain of a mirrored pair.
    MUC_MIRROR = "urn:xmpp:mix:muc:0#muc-mirror";
    /// XEP-0408: form that names the MIX domain of a mirrored pair.
    MIX_MIRROR = "urn:xmpp:mix:muc:0#mix-mirror";
    /// XEP-0369 §4.3: node of messages.
    MIX_NODE_MESSAGES = "urn:xmpp:mix:nodes:messages";
    /// XEP-0369 §4.3: node of participants.
    MIX_NODE_PARTICIPANTS = "urn:xmpp:mix:nodes:participants";
    /// XEP-0369 §4.3: node of the channel's information.
    MIX_NODE_INFO = "urn:xmpp:mix:nodes:info";
    /// XEP-0403: node of presence.
    MIX_NODE_PRESENCE = "urn:xmpp:mix:nodes:presence";
    /// XEP-0404: node of real JIDs.
    MIX_NODE_JIDMAP = "urn:xmpp:mix:nodes:jidmap";
    /// XEP-0406: node of those allowed.
    MIX_NODE_ALLOWED = "urn:xmpp:mix:nodes:allowed";
    /// XEP-0406: node of those banned.
    MIX_NODE_BANNED = "urn:xmpp:mix:nodes:banned";
    /// XEP-0406: node of the configuration.
    MIX_NODE_CONFIG = "urn:xmpp:mix:nodes:config";

    /// XEP-0421: occupant ids.
    OCCUPANT_ID = "urn:xmpp:occupant-id:0";
    /// XEP-0359: stanza ids and origin ids.
    SID = "urn:xmpp:sid:0";
    /// XEP-0203: delayed delivery.
    DELAY = "urn:xmpp:delay";
    /// XEP-0091: delayed delivery, the old form.
    DELAY_LEGACY = "jabber:x:delay";
    /// XEP-0317: hats.
    HATS = "urn:xmpp:hats:0";
    /// XEP-0033: extended addresses.
    ADDRESS = "http://jabber.org/protocol/address";
    /// XEP-0280: carbon copies.
    CARBONS = "urn:xmpp:carbons:2";
    /// XEP-0297: forwarded stanzas.
    FORWARD = "urn:xmpp:forward:0";
    /// XEP-0313: archives.
    MAM = "urn:xmpp:mam:2";
    /// XEP-0313 §4.3.4, §5: flipped pages, ids in forms, metadata.
    MAM_EXTENDED = "urn:xmpp:mam:2#extended";
    /// XEP-0059: paging of results.
    RSM = "http://jabber.org/protocol/rsm";
    /// XEP-0425: moderation.
    MODERATE = "urn:xmpp:message-moderate:1";
    /// XEP-0425: moderation, the old form.
    MODERATE_0 = "urn:xmpp:message-moderate:0";
    /// XEP-0422: fastening, the envelope of old retractions.
    FASTEN = "urn:xmpp:fasten:0";
    /// XEP-0424: retraction.
    RETRACT = "urn:xmpp:message-retract:1";
    /// XEP-0424: retraction, the old form.
    RETRACT_0 = "urn:xmpp:message-retract:0";
    /// XEP-0452: forwarded mentions.
    MMN = "urn:xmpp:mmn:0";
    /// XEP-0513: explicit mentions.
    MENTIONS = "urn:xmpp:mentions:0";
    /// XEP-0372: references.
    REFERENCE = "urn:xmpp:reference:0";
    /// XEP-0437: activity indicators.
    RAI = "urn:xmpp:rai:0";
    /// XEP-0308: corrections.
    CORRECT = "urn:xmpp:message-correct:0";
    /// XEP-0444: reactions.
    REACTIONS = "urn:xmpp:reactions:0";
    /// XEP-0461: replies.
    REPLY = "urn:xmpp:reply:0";
    /// XEP-0428: what a text stands in for.
    FALLBACK = "urn:xmpp:fallback:0";
    /// XEP-0085: chat states.
    CHAT_STATES = "http://jabber.org/protocol/chatstates";
    /// XEP-0333: displayed markers.
    CHAT_MARKERS = "urn:xmpp:chat-markers:0";
    /// XEP-0184: delivery receipts.
    RECEIPTS = "urn:xmpp:receipts";
    /// XEP-0334: hints for processing.
    HINTS = "urn:xmpp:hints";
    /// XEP-0380: which encryption.
    EME = "urn:xmpp:eme:0";

    /// XEP-0030: what an entity is.
    DISCO_INFO = "http://jabber.org/protocol/disco#info";
    /// XEP-0030: what belongs to an entity.
    DISCO_ITEMS = "http://jabber.org/protocol/disco#items";
    /// XEP-0115: capabilities.
    CAPS = "http://jabber.org/protocol/caps";
    /// XEP-0004: data forms.
    DATA_FORMS = "jabber:x:data";
    /// XEP-0122: what values a field may have.
    FORM_VALIDATION = "http://jabber.org/protocol/xdata-validate";
    /// XEP-0050: commands.
    COMMANDS = "http://jabber.org/protocol/commands";
    /// XEP-0060: publish and subscribe.
    PUBSUB = "http://jabber.org/protocol/pubsub";
    /// XEP-0060: errors of publish and subscribe.
    PUBSUB_ERRORS = "http://jabber.org/protocol/pubsub#errors";
    /// XEP-0060: notifications.
    PUBSUB_EVENT = "http://jabber.org/protocol/pubsub#event";
    /// XEP-0060: what the owner of a node does.
    PUBSUB_OWNER = "http://jabber.org/protocol/pubsub#owner";
    /// XEP-0077: registration.
    REGISTER = "jabber:iq:register";
    /// XEP-0092: software version.
    VERSION = "jabber:iq:version";
    /// RFC 6121: rosters.
    ROSTER = "jabber:iq:roster";
    /// XEP-0199: pings.
    PING = "urn:xmpp:ping";
    /// XEP-0202: time.
    TIME = "urn:xmpp:time";
    /// XEP-0012: last activity.
    LAST = "jabber:iq:last";
    /// XEP-0054: vCards.
    VCARD_TEMP = "vcard-temp";
    /// XEP-0153: hash of the avatar in presence.
    VCARD_UPDATE = "vcard-temp:x:update";
    /// RFC 6351, XEP-0292: vCards, version 4.
    VCARD4 = "urn:ietf:params:xml:ns:vcard-4.0";
    /// XEP-0084: avatar images.
    AVATAR_DATA = "urn:xmpp:avatar:data";
    /// XEP-0084: what avatars there are.
    AVATAR_METADATA = "urn:xmpp:avatar:metadata";
    /// XEP-0172: nicks.
    NICK = "http://jabber.org/protocol/nick";
    /// XEP-0356: privileged entities.
    PRIVILEGE = "urn:xmpp:privilege:2";
    /// XEP-0356: privileged entities, the old form.
    PRIVILEGE_1 = "urn:xmpp:privilege:1";
    /// XEP-0355: delegation of namespaces.
    DELEGATION = "urn:xmpp:delegation:2";
    /// XEP-0355: delegation of namespaces, the old form.
    DELEGATION_1 = "urn:xmpp:delegation:1";
    /// XEP-0433: search for channels.
    CHANNEL_SEARCH = "urn:xmpp:channel-search:0:search";
    /// XEP-0433: form of a search.
    CHANNEL_SEARCH_PARAMS = "urn:xmpp:channel-search:0:search-params";
    /// XEP-0433: sort keys.
    CHANNEL_SEARCH_ORDER = "urn:xmpp:channel-search:0:order";
    /// XEP-0433: errors of a search.
    CHANNEL_SEARCH_ERROR = "urn:xmpp:channel-search:0:error";
    /// XEP-0158: challenges.
    CAPTCHA = "urn:xmpp:captcha";
    /// XEP-0157: addresses of those who run a server.
    SERVERINFO = "http://jabber.org/network/serverinfo";
}

/// Whether `uri` qualifies stanzas themselves: which of the three it is depends only on the kind of stream.
///
/// Source: XEP-0114 §3, RFC 6120 §4.8.3. Requirement MUC-COMP-14.
#[must_use]
pub fn is_stanza_namespace(uri: &str) -> bool {
    uri == COMPONENT || uri == CLIENT || uri == SERVER
}

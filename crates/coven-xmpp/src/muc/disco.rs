//! What a MUC service and a room say of themselves (XEP-0045 §6; MUC-DISCO).

use crate::both::disco::Disco;
use crate::both::form::{Kind, Writer, flag};
use crate::domains::{Domain, Names};
use crate::ns;
use crate::stanza::Builder;
use bytes::Bytes;
use coven_core::content::history;
use coven_core::people::visibility::Visibility;
use coven_core::query::Info;
use coven_core::settings::config::{Config, PrivateMessages};
use coven_core::{Nick, Service};

/// What MUC adds to disco#info on the service (MUC-DISCO-01, 02).
pub(crate) fn service_info(domain: &Domain, disco: &mut Disco) {
    disco.identity("conference", "text", &domain.title);
    disco.features(&[ns::MUC, ns::MUC_STABLE_ID, ns::MUC_UNIQUE, ns::OCCUPANT_ID]);
}

/// What MUC adds to disco#info on a room (MUC-DISCO-07 to 10, 13 to 22).
pub(crate) fn room_info(domain: &Domain, names: &Names, info: &Info, disco: &mut Disco) {
    let config = &info.config;
    let name = if config.name.is_empty() {
        &names.local
    } else {
        &config.name
    };
    disco.identity("conference", "text", name);
    disco.features(&[
        ns::MUC,
        ns::MUC_STABLE_ID,
        ns::MUC_SELF_PING,
        ns::MUC_ROOMINFO,
        ns::MUC_ROOMCONFIG,
        ns::OCCUPANT_ID,
    ]);
    disco.features(&kinds(config));
    disco.form(roominfo(&domain.service, info));
}

/// One feature of each pair (MUC-DISCO-08).
fn kinds(config: &Config) -> [&'static str; 6] {
    let of = |is: bool, yes: &'static str, no: &'static str| if is { yes } else { no };
    let open = config.visibility == Visibility::Visible;
    [
        of(
            config.password.is_some(),
            "muc_passwordprotected",
            "muc_unsecured",
        ),
        of(config.public, "muc_public", "muc_hidden"),
        of(config.persistent, "muc_persistent", "muc_temporary"),
        of(config.members_only, "muc_membersonly", "muc_open"),
        of(config.moderated, "muc_moderated", "muc_unmoderated"),
        of(open, "muc_nonanonymous", "muc_semianonymous"),
    ]
}

/// The form of extended information.
fn roominfo(service: &Service, info: &Info) -> Bytes {
    let config = &info.config;
    let mut xml = Builder::with_capacity(2048);
    let mut form = Writer::begin(&mut xml, Kind::Result, ns::MUC_ROOMINFO);
    let occupants = info.occupants.to_string();
    let history = history::limit(config, service).to_string();
    let change = flag(config.change_subject);
    form.field(
        "muc#roominfo_description",
        "text-single",
        None,
        &[&config.description],
    )
    .field("muc#roominfo_occupants", "text-single", None, &[&occupants])
    .field("muc#roominfo_subjectmod", "boolean", None, &[change])
    .field("muc#roominfo_changesubject", "boolean", None, &[change])
    .field("muc#roomconfig_changesubject", "boolean", None, &[change])
    .field("muc#maxhistoryfetch", "text-single", None, &[&history])
    .field(
        "muc#roomconfig_roomname",
        "text-single",
        None,
        &[&config.name],
    )
    .field(
        "muc#roomconfig_allowpm",
        "list-single",
        None,
        &[allow_pm(config.private_messages)],
    )
    .field(
        "muc#roomconfig_allowinvites",
        "boolean",
        None,
        &[flag(config.allow_invites)],
    );
    if !config.lang.is_empty() {
        form.field("muc#roominfo_lang", "text-single", None, &[&config.lang]);
    }
    if let Some(subject) = subject(info) {
        form.field("muc#roominfo_subject", "text-single", None, &[&subject]);
    }
    if !info.contacts.is_empty() {
        let contacts: Vec<&str> = info.contacts.iter().map(|jid| jid.as_str()).collect();
        form.field("muc#roominfo_contactjid", "jid-multi", None, &contacts);
    }
    form.end();
    xml.finish()
}

/// The word on the wire for who may send private messages.
const fn allow_pm(who: PrivateMessages) -> &'static str {
    match who {
        PrivateMessages::Anyone => "anyone",
        PrivateMessages::Participants => "participants",
        PrivateMessages::Moderators => "moderators",
        PrivateMessages::None => "none",
    }
}

/// The text of the subject in its first language.
fn subject(info: &Info) -> Option<String> {
    let bytes = info.subject.as_ref()?.message.subject.clone()?;
    let limits = crate::stream::Limits::default();
    let payload = crate::stanza::Payload::read(bytes, &limits).ok()?;
    payload.text("subject").map(std::borrow::Cow::into_owned)
}

/// The answer to `x-roomuser-item`: the nick that is reserved for the requester (MUC-DISCO-26).
pub(crate) fn reserved_nick(nick: Option<&Nick>, node: Option<&str>) -> Bytes {
    let mut disco = Disco::default();
    if let Some(nick) = nick {
        disco.identity("conference", "text", nick.as_str());
    }
    disco.write(node)
}

//! `muc#owner`: the configuration form, and destroying a room (XEP-0045 §10; MUC-CREATE-04..07, MUC-CONF, MUC-DEST).

use crate::both::form::{self, Field, Form, Kind, Writer};
use crate::dispatch::Inbound;
use crate::incoming::Incoming;
use crate::ns;
use crate::stanza::{Address, Builder, Child, IqType};
use bytes::Bytes;
use coven_core::command::{End, Settings};
use coven_core::people::visibility::Visibility;
use coven_core::settings::config::Config;
use coven_core::{Command, Condition, Query, View};
use minidom::Element;
use smol_str::SmolStr;

const NAME: &str = "muc#roomconfig_roomname";
const DESCRIPTION: &str = "muc#roomconfig_roomdesc";
const PERSISTENT: &str = "muc#roomconfig_persistentroom";
const PUBLIC: &str = "muc#roomconfig_publicroom";
const MEMBERS_ONLY: &str = "muc#roomconfig_membersonly";
const MODERATED: &str = "muc#roomconfig_moderatedroom";
const PROTECTED: &str = "muc#roomconfig_passwordprotectedroom";
const SECRET: &str = "muc#roomconfig_roomsecret";
const WHOIS: &str = "muc#roomconfig_whois";

/// An IQ of an owner.
///
/// Source: XEP-0045 §10.1, §10.2, §10.9. Requirements MUC-CREATE-04, 05, 07; MUC-CONF-01, 05, 06; MUC-DEST-01.
pub(super) fn dispatch(incoming: &Incoming<'_>, kind: IqType, child: &Child<'_>) -> Inbound {
    if kind == IqType::Get {
        return incoming.query(View::Muc, Query::OwnerForm);
    }
    let Ok(query) = child.to_element() else {
        return incoming.refuse(Condition::BadRequest);
    };
    let command = match query.get_child("destroy", ns::MUC_OWNER) {
        Some(destroy) => self::destroy(destroy),
        None => submitted(&query),
    };
    match command {
        Ok(command) => incoming.command(View::Muc, command),
        Err(condition) => incoming.refuse(condition),
    }
}

/// Errors: `jid-malformed` (MUC-DEST-07).
fn destroy(destroy: &Element) -> Result<Command, Condition> {
    let text = |name| {
        let child = destroy.get_child(name, ns::MUC_OWNER);
        child.map(|child| SmolStr::from(child.text()))
    };
    let alternate = match destroy.attr("jid").filter(|jid| !jid.is_empty()) {
        None => None,
        Some(jid) => {
            let bare = Address::new(jid).bare_jid();
            let bare = bare.map_err(|_| Condition::JidMalformed)?;
            Some(SmolStr::from(bare.as_str()))
        }
    };
    Ok(Command::Destroy(End {
        alternate,
        reason: text("reason"),
        password: text("password"),
    }))
}

/// Errors: `bad-request` (MUC-CONF-03, 06), `not-acceptable` (MUC-CONF-04).
fn submitted(query: &Element) -> Result<Command, Condition> {
    let form = Form::within(query).ok_or(Condition::BadRequest)?;
    if form.form_type().is_some_and(|t| t != ns::MUC_ROOMCONFIG) {
        return Err(Condition::BadRequest);
    }
    match form.kind {
        Some(Kind::Submit) => Ok(Command::Configure(Box::new(settings(&form)?))),
        Some(Kind::Cancel) => Ok(Command::CancelConfiguration),
        _ => Err(Condition::BadRequest),
    }
}

/// The fields that are there; unknown ones are passed over (MUC-CONF-03).
fn settings(form: &Form) -> Result<Settings, Condition> {
    let text = |var| form.field(var).map(|field| SmolStr::from(field.text()));
    let flag = |var| form.field(var).map(boolean).transpose();
    Ok(Settings {
        name: text(NAME),
        description: text(DESCRIPTION),
        public: flag(PUBLIC)?,
        persistent: flag(PERSISTENT)?,
        members_only: flag(MEMBERS_ONLY)?,
        moderated: flag(MODERATED)?,
        password_protected: flag(PROTECTED)?,
        password: text(SECRET),
        visibility: form.field(WHOIS).map(whois).transpose()?,
        all: None,
    })
}

fn boolean(field: &Field) -> Result<bool, Condition> {
    form::boolean(field.text()).ok_or(Condition::NotAcceptable)
}

/// Fully anonymous rooms are not offered (MUC-CFG-09, MUC-ANON-06).
fn whois(field: &Field) -> Result<Visibility, Condition> {
    match field.text() {
        "anyone" => Ok(Visibility::Visible),
        "moderators" => Ok(Visibility::Hidden),
        _ => Err(Condition::NotAcceptable),
    }
}

/// The `<query/>` with the form as it stands now (MUC-CONF-01, MUC-CFG-01, 02, 04 to 09, 25).
pub(crate) fn form(config: &Config) -> Bytes {
    let mut xml = Builder::with_capacity(3072);
    xml.open_ns("query", ns::MUC_OWNER);
    let mut form = Writer::begin(&mut xml, Kind::Form, ns::MUC_ROOMCONFIG);
    form.title("Configuration of the room");
    let text = |form: &mut Writer<'_>, var, label, value: &str| {
        form.field(var, "text-single", Some(label), &[value]);
    };
    let flag = |form: &mut Writer<'_>, var, label, value| {
        form.field(var, "boolean", Some(label), &[form::flag(value)]);
    };
    text(&mut form, NAME, "Name", &config.name);
    text(&mut form, DESCRIPTION, "Description", &config.description);
    flag(&mut form, PUBLIC, "Listed in the directory", config.public);
    flag(
        &mut form,
        PERSISTENT,
        "Kept when the last one leaves",
        config.persistent,
    );
    flag(
        &mut form,
        MEMBERS_ONLY,
        "Only members may enter",
        config.members_only,
    );
    flag(
        &mut form,
        MODERATED,
        "Only those with voice may speak",
        config.moderated,
    );
    let password = config.password.as_deref();
    flag(
        &mut form,
        PROTECTED,
        "A password is needed to enter",
        password.is_some(),
    );
    form.field(
        SECRET,
        "text-private",
        Some("The password"),
        &[password.unwrap_or_default()],
    );
    let shown = match config.visibility {
        Visibility::Visible => "anyone",
        Visibility::Hidden | Visibility::Optional => "moderators",
    };
    let options = [("moderators", "Moderators"), ("anyone", "Anyone")];
    form.list(
        WHOIS,
        "list-single",
        Some("Who sees real addresses"),
        &[shown],
        &options,
    );
    form.end();
    xml.close();
    xml.finish()
}

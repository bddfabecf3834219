//! What a stanza says to the client that gets it.
//!
//! Owns the reading of what a MUC service sends (XEP-0045, 0410, 0199, 0313), as far as faults matter. Pure: what
//! follows from it is done in `world.rs`.

use crate::history::{ArchiveNo, Condition, MessageNo};
use crate::tag::{Tag, has, inner};

/// What a stanza says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    /// A message of the room with a body.
    Message(MessageNo, ArchiveNo),
    /// The own message was refused.
    Refused(MessageNo, Condition),
    /// The client is in the room.
    Here,
    /// The client is not in the room any more.
    Gone,
    /// The occupant of this nick is in the room.
    OtherHere(&'a str),
    /// The occupant of this nick is not in the room any more.
    OtherGone(&'a str),
    /// It may not enter.
    MayNotEnter(Condition),
    /// Somebody asks whether the client is alive (XEP-0199).
    Ping,
    /// Somebody asks something else.
    Question,
    /// An answer to the question of this id.
    Answer(&'a str, Condition),
    /// An entry of the archive for this query.
    Archived(&'a str, MessageNo, ArchiveNo),
    /// An empty message: a client shows nothing, and so shows that it is there.
    Probe,
    /// Nothing that matters here.
    Other,
}

/// What `stanza` says to a client with that nick.
pub(crate) fn read<'a>(tag: &Tag<'a>, stanza: &'a [u8], nick: &str) -> Said<'a> {
    match tag.name {
        "message" => message(tag, stanza),
        "presence" => presence(tag, stanza, nick),
        "iq" => question_or_answer(tag, stanza),
        _ => Said::Other,
    }
}

fn message<'a>(tag: &Tag<'a>, stanza: &'a [u8]) -> Said<'a> {
    let message = MessageNo::from_id(tag.id).unwrap_or_default();
    if tag.type_ == "error" {
        return Said::Refused(message, Condition::of(stanza));
    }
    if let Some((result, inside)) = Tag::find(stanza, "result") {
        return archived(&result, inside);
    }
    if tag.type_ != "groupchat" {
        return Said::Other;
    }
    if !has(stanza, "<body>") {
        return if has(stanza, "<subject") {
            Said::Other
        } else {
            Said::Probe
        };
    }
    Said::Message(message, archive_no(stanza))
}

/// The archive id that the room has given to a message.
fn archive_no(stanza: &[u8]) -> ArchiveNo {
    Tag::find(stanza, "stanza-id").map_or(ArchiveNo(0), |(tag, _)| ArchiveNo::of(tag.id))
}

fn archived<'a>(result: &Tag<'a>, inside: &'a [u8]) -> Said<'a> {
    let message = Tag::find(inside, "message").map_or("", |(message, _)| message.id);
    let message = MessageNo::from_id(message).unwrap_or_default();
    Said::Archived(result.query, message, ArchiveNo::of(result.id))
}

fn presence<'a>(tag: &Tag<'a>, stanza: &[u8], nick: &str) -> Said<'a> {
    let Some((_, who)) = tag.from.split_once('/') else {
        return Said::Other;
    };
    let own = who == nick;
    match tag.type_ {
        "" if own && has(stanza, "code='110'") => Said::Here,
        "unavailable" if own => Said::Gone,
        "error" if own => Said::MayNotEnter(Condition::of(stanza)),
        "" => Said::OtherHere(who),
        "unavailable" => Said::OtherGone(who),
        _ => Said::Other,
    }
}

fn question_or_answer<'a>(tag: &Tag<'a>, stanza: &[u8]) -> Said<'a> {
    match tag.type_ {
        "result" => Said::Answer(tag.id, Condition::NONE),
        "error" => Said::Answer(tag.id, Condition::of(stanza)),
        _ if has(stanza, "urn:xmpp:ping") => Said::Ping,
        _ => Said::Question,
    }
}

/// The end of an archive page: whether it was the last one, and the id of its last entry (XEP-0059).
pub(crate) fn page_end(stanza: &[u8]) -> (bool, Option<&str>) {
    let complete = has(stanza, "complete='true'");
    (complete, inner(stanza, "last"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn said(stanza: &str) -> Said<'_> {
        read(
            &Tag::read(stanza.as_bytes()).unwrap(),
            stanza.as_bytes(),
            "n5",
        )
    }

    #[test]
    fn a_message_has_its_number_and_its_place() {
        let id = MessageNo::new(5, 1).id();
        let stanza = format!(
            "<message from='r1@c/n5' to='u5@h/load' type='groupchat' id='{id}'><body>x</body>\
             <stanza-id xmlns='urn:xmpp:sid:0' id='ABC' by='r1@c'/></message>"
        );
        assert_eq!(
            said(&stanza),
            Said::Message(MessageNo::new(5, 1), ArchiveNo::of("ABC"))
        );
        let refused = format!(
            "<message type='error' id='{id}'><error><forbidden xmlns='x'/></error></message>"
        );
        assert_eq!(
            said(&refused),
            Said::Refused(MessageNo::new(5, 1), Condition::named("forbidden"))
        );
    }

    #[test]
    fn empty_messages_are_probes_but_subjects_are_not() {
        assert_eq!(
            said("<message from='r@c' type='groupchat' id='coven-probe-7'/>"),
            Said::Probe
        );
        assert_eq!(
            said("<message from='r@c' type='groupchat'><subject/></message>"),
            Said::Other
        );
    }

    #[test]
    fn presences_are_of_the_client_or_of_others() {
        let own = "<presence from='r@c/n5'><x><status code='110'/></x></presence>";
        assert_eq!(said(own), Said::Here);
        assert_eq!(
            said("<presence from='r@c/n5' type='unavailable'/>"),
            Said::Gone
        );
        assert_eq!(
            said("<presence from='r@c/n6' type='unavailable'/>"),
            Said::OtherGone("n6")
        );
        assert_eq!(said("<presence from='r@c/n6'/>"), Said::OtherHere("n6"));
        assert_eq!(said("<presence from='r@c'/>"), Said::Other);
    }

    #[test]
    fn questions_and_answers_are_told_apart() {
        assert_eq!(
            said("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"),
            Said::Ping
        );
        assert_eq!(said("<iq type='get' id='1'><query/></iq>"), Said::Question);
        assert_eq!(
            said("<iq type='result' id='1'/>"),
            Said::Answer("1", Condition::NONE)
        );
    }

    #[test]
    fn archive_pages_are_read() {
        let id = MessageNo::new(5, 1).id();
        let entry = format!(
            "<message from='r@c'><result xmlns='urn:xmpp:mam:2' queryid='a1' id='ABC'><forwarded><message id='{id}'/>\
             </forwarded></result></message>"
        );
        let expected = Said::Archived("a1", MessageNo::new(5, 1), ArchiveNo::of("ABC"));
        assert_eq!(said(&entry), expected);
        let end = b"<iq type='result'><fin complete='true'><set><first index='0'>A</first><last>B</last></set></fin></iq>";
        assert_eq!(page_end(end), (true, Some("B")));
        assert_eq!(
            page_end(b"<iq type='result'><fin><set><last>B</last></set></fin></iq>"),
            (false, Some("B"))
        );
    }
}

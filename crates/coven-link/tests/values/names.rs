//! The names of all variants: matches without wildcard, so that a new one has to be thought of here, and be generated.

use coven_cluster::{Delivery, Request, ToFront, ToNode};
use coven_core::{Answer, Command, Event, Query};

macro_rules! names {
    ($all:ident, $function:ident, $of:ty, [$($name:literal: $pattern:pat),+ $(,)?]) => {
        const $all: &[&str] = &[$($name),+];

        pub(crate) fn $function(value: &$of) -> &'static str {
            match value {
                $($pattern => $name,)+
            }
        }
    };
}

names!(TO_NODE, name_of_to_node, ToNode, [
    "Holds": ToNode::Holds(_),
    "Operation": ToNode::Operation(_),
    "Acknowledge": ToNode::Acknowledge(_),
    "Directory": ToNode::Directory(_),
    "Sweep": ToNode::Sweep { .. },
    "StreamLost": ToNode::StreamLost { .. },
    "ToNode::Relay": ToNode::Relay { .. },
]);

names!(TO_FRONT, name_of_to_front, ToFront, [
    "Output": ToFront::Output(_),
    "Owned": ToFront::Owned(_),
    "Released": ToFront::Released(_),
    "NotOwner": ToFront::NotOwner { .. },
    "Missing": ToFront::Missing { .. },
    "Committed": ToFront::Committed { .. },
    "ToFront::Done": ToFront::Done { .. },
    "NotTaken": ToFront::NotTaken { .. },
    "ToFront::Relay": ToFront::Relay(_),
]);

names!(DELIVERIES, name_of_delivery, Delivery, [
    "Base": Delivery::Base { .. },
    "Event": Delivery::Event { .. },
    "Sync": Delivery::Sync { .. },
    "PresenceDump": Delivery::PresenceDump { .. },
    "Passing": Delivery::Passing(_),
    "Delivery::Relay": Delivery::Relay(_),
    "Delivery::Answer": Delivery::Answer { .. },
    "Refused": Delivery::Refused { .. },
    "NotJoined": Delivery::NotJoined { .. },
    "Probe": Delivery::Probe(_),
    "Forget": Delivery::Forget,
]);

names!(EVENTS, name_of_event, Event, [
    "Unknown": Event::Unknown,
    "Event::Created": Event::Created { .. },
    "Unlocked": Event::Unlocked,
    "Joined": Event::Joined { .. },
    "Event::Online": Event::Online { .. },
    "Updated": Event::Updated { .. },
    "Left": Event::Left { .. },
    "Renamed": Event::Renamed { .. },
    "Participated": Event::Participated { .. },
    "Event::Departed": Event::Departed { .. },
    "Changed": Event::Changed { .. },
    "Removed": Event::Removed { .. },
    "Message": Event::Message(_),
    "Event::Private": Event::Private(_),
    "Configured": Event::Configured { .. },
    "Announced": Event::Announced,
    "Event::Destroyed": Event::Destroyed { .. },
]);

names!(ANSWERS, name_of_answer, Answer, [
    "Answer::Done": Answer::Done,
    "Answer::Info": Answer::Info(_),
    "Occupants": Answer::Occupants(_),
    "Nodes": Answer::Nodes(_),
    "Answer::ReservedNick": Answer::ReservedNick(_),
    "Relayed": Answer::Relayed(_),
    "Form": Answer::Form(_),
    "Participating": Answer::Participating { .. },
    "Subscribed": Answer::Subscribed { .. },
    "Answer::Departed": Answer::Departed,
    "NickSet": Answer::NickSet(_),
    "Answer::Created": Answer::Created(_),
    "Answer::Destroyed": Answer::Destroyed,
    "Answer::PresenceSubscription": Answer::PresenceSubscription(_),
    "Items": Answer::Items(_),
    "Own": Answer::Own { .. },
    "Answer::Archive": Answer::Archive(_),
    "Listing": Answer::Listing(_),
    "Bounds": Answer::Bounds(_),
]);

names!(REQUESTS, name_of_request, Request, [
    "Join": Request::Command(Command::Join(_)),
    "Update": Request::Command(Command::Update { .. }),
    "Leave": Request::Command(Command::Leave { .. }),
    "Bounce": Request::Command(Command::Bounce(_)),
    "Post": Request::Command(Command::Post(_)),
    "Private": Request::Command(Command::Private(_)),
    "Relay": Request::Command(Command::Relay(_)),
    "Participate": Request::Command(Command::Participate { .. }),
    "Subscribe": Request::Command(Command::Subscribe { .. }),
    "Depart": Request::Command(Command::Depart),
    "SetNick": Request::Command(Command::SetNick { .. }),
    "Online": Request::Command(Command::Online { .. }),
    "Offline": Request::Command(Command::Offline { .. }),
    "Create": Request::Command(Command::Create),
    "CreateAdHoc": Request::Command(Command::CreateAdHoc),
    "PresenceSubscription": Request::Command(Command::PresenceSubscription { .. }),
    "Destroy": Request::Command(Command::Destroy(_)),
    "Configure": Request::Command(Command::Configure(_)),
    "CancelConfiguration": Request::Command(Command::CancelConfiguration),
    "SetAffiliation": Request::Command(Command::SetAffiliation(_)),
    "SetRole": Request::Command(Command::SetRole(_)),
    "Timer": Request::Command(Command::Timer),
    "Info": Request::Query(Query::Info { .. }),
    "Query::Items": Request::Query(Query::Items { .. }),
    "ReservedNick": Request::Query(Query::ReservedNick),
    "OwnerForm": Request::Query(Query::OwnerForm),
    "Ping": Request::Query(Query::Ping { .. }),
    "NodeItems": Request::Query(Query::NodeItems { .. }),
    "OwnSubscriptions": Request::Query(Query::OwnSubscriptions),
    "Archive": Request::Query(Query::Archive(_)),
    "ArchiveBounds": Request::Query(Query::ArchiveBounds { .. }),
]);

/// All of them.
pub(crate) const NAMES: &[&[&str]] = &[TO_NODE, TO_FRONT, DELIVERIES, EVENTS, ANSWERS, REQUESTS];

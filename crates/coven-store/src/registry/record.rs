//! Records of the registry as text: fields by spaces, names in a form without spaces.
//!
//! A later version may add fields at the end: what is behind the known ones is passed over.

use smol_str::SmolStr;

use super::{Lease, Member, Role, ShardSet, Way};
use crate::{ConnectionId, LeaseNumber, ProcessId, SessionId};

/// What a session says of its process.
pub(crate) fn write_member(member: &Member) -> String {
    let role = match member.role {
        Role::Node => "node",
        Role::Front => "front",
        Role::Alone => "alone",
    };
    format!(
        "{:032x} {role} {} {} {} {} {} {}",
        member.process.0,
        quote(&member.address),
        member.weight,
        u8::from(member.draining),
        quote(&member.version),
        member.formats,
        quote(&member.owned.to_hex()),
    )
}

/// What [`write_member`] wrote; `None` for what cannot be read.
pub(crate) fn read_member(record: &str) -> Option<Member> {
    let mut fields = record.split(' ');
    Some(Member {
        process: ProcessId(hex(fields.next()?)?),
        role: match fields.next()? {
            "node" => Role::Node,
            "front" => Role::Front,
            "alone" => Role::Alone,
            _ => return None,
        },
        address: unquote(fields.next()?)?,
        weight: fields.next()?.parse().ok()?,
        draining: fields.next()? == "1",
        version: unquote(fields.next()?)?,
        formats: fields.next()?.parse().ok()?,
        owned: ShardSet::from_hex(&unquote(fields.next()?)?)?,
    })
}

/// The end of a lease's record, see [`read_lease`].
pub(crate) fn write_way(way: &Way) -> String {
    let Way {
        group,
        space,
        server_node,
    } = way;
    format!("{} {} {}", quote(group), quote(space), quote(server_node))
}

/// A lease as the scripts write it: number, holder, who has asked for it (both in hex, or `-`), then where it leads; `None`
/// for what cannot be read.
pub(crate) fn read_lease(connection: &str, record: &str) -> Option<Lease> {
    let mut fields = record.split(' ');
    Some(Lease {
        connection: ConnectionId(connection.into()),
        number: LeaseNumber(fields.next()?.parse().ok()?),
        holder: hex(fields.next()?).map(SessionId),
        asked_by: hex(fields.next()?).map(ProcessId),
        way: Way {
            group: unquote(fields.next()?)?,
            space: unquote(fields.next()?)?,
            server_node: unquote(fields.next()?)?,
        },
    })
}

fn hex(field: &str) -> Option<u128> {
    u128::from_str_radix(field, 16).ok()
}

/// Without spaces, and never empty.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 1);
    quoted.push('=');
    for character in text.chars() {
        match character {
            '%' => quoted.push_str("%25"),
            ' ' => quoted.push_str("%20"),
            other => quoted.push(other),
        }
    }
    quoted
}

fn unquote(field: &str) -> Option<SmolStr> {
    let text = field.strip_prefix('=')?;
    Some(text.replace("%20", " ").replace("%25", "%").into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::ShardId;

    #[test]
    fn records_come_back_as_they_were() {
        let member = Member {
            process: ProcessId(7),
            role: Role::Front,
            address: "a b%20".into(),
            weight: 3,
            draining: true,
            version: "".into(),
            formats: 2,
            owned: [ShardId(9)].into_iter().collect(),
        };
        assert_eq!(read_member(&write_member(&member)).unwrap(), member);
        let later = format!("{} more", write_member(&member));
        assert_eq!(read_member(&later).unwrap(), member);
        let lease = Lease {
            connection: ConnectionId("c 1".into()),
            way: Way {
                group: "main".into(),
                space: "chat.example".into(),
                server_node: "".into(),
            },
            holder: Some(SessionId(5)),
            number: LeaseNumber(9),
            asked_by: None,
        };
        let record = format!("9 {:032x} - {}", 5, write_way(&lease.way));
        assert_eq!(read_lease("c 1", &record).unwrap(), lease);
    }

    #[test]
    fn what_is_no_record_is_none() {
        for text in ["", "x", "00 node", "00 king = 1 0 = 1 ="] {
            assert!(read_member(text).is_none(), "{text}");
            assert!(read_lease("c", text).is_none(), "{text}");
        }
    }
}

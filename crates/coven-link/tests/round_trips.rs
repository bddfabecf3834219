//! What goes over a link comes out as it went in: every variant of every message, with generated values.
//!
//! The matches without wildcard at the end fail to compile for a variant that nobody thought of here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod values;

use coven_cluster::{Delivery, ToFront, ToNode};
use coven_link::{decode_to_front, decode_to_node, encode_to_front, encode_to_node};
use coven_proto::wire::link as wire;
use proptest::prelude::*;
use prost::Message as _;

const SHARDS: u16 = 1024;

fn node_sees(message: &ToNode) -> ToNode {
    let wire = wire::ToNode::decode(encode_to_node(message)).unwrap();
    decode_to_node(wire, SHARDS).unwrap()
}

fn front_sees(message: &ToFront) -> ToFront {
    let wire = wire::ToFront::decode(encode_to_front(message)).unwrap();
    decode_to_front(wire, SHARDS).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_a_front_end_says_comes_out_as_it_went_in(seed in any::<u64>()) {
        for message in values::to_node(seed) {
            prop_assert_eq!(shape(&node_sees(&message)), shape(&message));
        }
    }

    #[test]
    fn what_a_node_says_comes_out_as_it_went_in(seed in any::<u64>()) {
        for message in values::to_front(seed) {
            prop_assert_eq!(shape(&front_sees(&message)), shape(&message));
        }
    }

    #[test]
    fn i10_bytes_that_are_no_message_are_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(wire) = wire::ToNode::decode(&bytes[..]) {
            let _ = decode_to_node(wire, SHARDS);
        }
        if let Ok(wire) = wire::ToFront::decode(&bytes[..]) {
            let _ = decode_to_front(wire, SHARDS);
        }
    }

    #[test]
    fn i10_a_message_with_a_changed_byte_is_another_or_an_error_and_no_panic(seed in any::<u64>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for message in values::to_front(seed) {
            let mut bytes = encode_to_front(&message).to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(wire) = wire::ToFront::decode(&bytes[..]) {
                let _ = decode_to_front(wire, SHARDS);
            }
        }
    }
}

/// What `Debug` shows; rosters by their parts, as their indexes need not look the same.
fn shape(
    message: &(impl std::fmt::Debug + values::Rosters),
) -> (String, Vec<coven_core::roster::Parts>) {
    let parts = message.rosters();
    match parts.is_empty() {
        true => (format!("{message:?}"), parts),
        false => (String::new(), parts),
    }
}

#[test]
fn every_variant_is_generated() {
    let front: Vec<_> = (0..4).flat_map(values::to_front).collect();
    let node: Vec<_> = (0..4).flat_map(values::to_node).collect();
    let mut seen = std::collections::BTreeSet::new();
    for message in &front {
        seen.insert(values::name_of_to_front(message));
        if let ToFront::Output(output) = message {
            seen.extend(output.deliveries.iter().map(values::name_of_delivery));
            for delivery in &output.deliveries {
                if let Delivery::Answer { answer, .. } = delivery {
                    seen.insert(values::name_of_answer(answer));
                }
                if let Delivery::Event { record, .. } = delivery {
                    seen.insert(values::name_of_event(&record.event));
                }
            }
        }
    }
    for message in &node {
        seen.insert(values::name_of_to_node(message));
        if let ToNode::Operation(operation) = message {
            seen.insert(values::name_of_request(&operation.request));
        }
    }
    for name in values::NAMES.concat() {
        assert!(seen.contains(name), "{name} is not generated");
    }
}

//! Frames: many small messages in one, a large one in many (pure).
//!
//! A frame is a `FrontFrame` or `NodeFrame` of link.proto, which have the same fields. It is put together of messages that
//! are bytes already, so that one which goes to several links is encoded once; that is why the few bytes around them are
//! written here by hand. [`Assembler`] is the other side.

use crate::Broken;
use bytes::{BufMut, Bytes, BytesMut};
use coven_proto::wire::link as wire;
use prost::encoding::{encode_varint, encoded_len_varint};
use prost::{DecodeError, Message};
use std::collections::VecDeque;

/// A frame that is full is sent: what waits is put together up to here.
pub const TARGET_BYTES: usize = 64 * 1024;

/// A message above this goes in parts of this size.
pub const PART_BYTES: usize = 256 * 1024;

/// No frame is larger: a whole message and the rest of a full frame, and what is around them.
pub const MAX_FRAME_BYTES: usize = TARGET_BYTES + PART_BYTES + 1024;

/// Bytes of one frame, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    pub(crate) chunks: Vec<Bytes>,
    bytes: usize,
}

impl Frame {
    /// The first of a link.
    pub(crate) fn hello(hello: &wire::Hello) -> Self {
        let frame = wire::FrontFrame {
            hello: Some(hello.clone()),
            ..wire::FrontFrame::default()
        };
        let mut first = Self::default();
        first.push(frame.encode_to_vec().into());
        first
    }

    /// Adds a whole message, of at most [`PART_BYTES`].
    pub(crate) fn add(&mut self, message: Bytes) {
        self.push(header(MESSAGES, message.len()));
        self.push(message);
    }

    /// Whether another message has to go into the next frame.
    pub(crate) const fn is_full(&self) -> bool {
        self.bytes >= TARGET_BYTES
    }

    /// How many bytes it has.
    pub(crate) const fn len(&self) -> usize {
        self.bytes
    }

    /// The frames of a message above [`PART_BYTES`].
    pub(crate) fn parts(mut message: Bytes) -> VecDeque<Self> {
        let mut frames = VecDeque::new();
        while !message.is_empty() {
            let part = message.split_to(PART_BYTES.min(message.len()));
            let mut frame = Self::default();
            frame.push(header(PART, part.len()));
            frame.push(part);
            if message.is_empty() {
                frame.push(Bytes::from_static(&[COMPLETE, 1]));
            }
            frames.push_back(frame);
        }
        frames
    }

    fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }
}

/// Field numbers of frames with their wire types, as protobuf writes them.
const MESSAGES: u8 = 2 << 3 | 2;
const PART: u8 = 3 << 3 | 2;
const COMPLETE: u8 = 4 << 3;

fn header(key: u8, len: usize) -> Bytes {
    let mut header = BytesMut::with_capacity(1 + encoded_len_varint(len as u64));
    header.put_u8(key);
    encode_varint(len as u64, &mut header);
    header.freeze()
}

/// A frame taken apart.
#[derive(Debug)]
pub struct Taken<M> {
    hello: Option<wire::Hello>,
    messages: Vec<M>,
    part: Bytes,
    complete: bool,
}

/// What comes in from one side.
pub trait Side: Send + Sync + 'static {
    /// Its messages.
    type Message: Message + Default;

    /// Takes a frame apart.
    fn decode(frame: Bytes) -> Result<Taken<Self::Message>, DecodeError>;
}

/// Frames of front-ends.
#[derive(Debug)]
pub struct FromFront;

/// Frames of nodes.
#[derive(Debug)]
pub struct FromNode;

impl Side for FromFront {
    type Message = wire::ToNode;

    fn decode(frame: Bytes) -> Result<Taken<wire::ToNode>, DecodeError> {
        let frame = wire::FrontFrame::decode(frame)?;
        Ok(Taken {
            hello: frame.hello,
            messages: frame.messages,
            part: frame.part,
            complete: frame.complete,
        })
    }
}

impl Side for FromNode {
    type Message = wire::ToFront;

    fn decode(frame: Bytes) -> Result<Taken<wire::ToFront>, DecodeError> {
        let frame = wire::NodeFrame::decode(frame)?;
        Ok(Taken {
            hello: frame.hello,
            messages: frame.messages,
            part: frame.part,
            complete: frame.complete,
        })
    }
}

/// Makes messages of frames, in order.
#[derive(Debug)]
pub struct Assembler<S> {
    parts: BytesMut,
    max_message: usize,
    side: std::marker::PhantomData<S>,
}

impl<S: Side> Assembler<S> {
    /// Nothing has come in yet. A message of more than `max_message` bytes breaks the link.
    #[must_use]
    pub fn new(max_message: usize) -> Self {
        Self {
            parts: BytesMut::new(),
            max_message,
            side: std::marker::PhantomData,
        }
    }

    /// The hello of the first frame.
    ///
    /// Errors: it holds anything else.
    pub fn hello(frame: Bytes) -> Result<wire::Hello, Broken> {
        let taken = S::decode(frame).map_err(|error| Broken::Malformed(error.to_string()))?;
        match taken.hello {
            Some(hello) if taken.messages.is_empty() && taken.part.is_empty() => Ok(hello),
            _ => Err(malformed("the first frame is no hello")),
        }
    }

    /// The messages that a frame completes.
    ///
    /// Errors: it is none, is one that may not come here, or a message is too large.
    pub fn take(&mut self, frame: Bytes) -> Result<Vec<S::Message>, Broken> {
        let taken = S::decode(frame).map_err(|error| Broken::Malformed(error.to_string()))?;
        if taken.hello.is_some() {
            return Err(malformed("a second hello"));
        }
        if taken.part.is_empty() && !taken.complete {
            if !self.parts.is_empty() && !taken.messages.is_empty() {
                return Err(malformed("a message between parts"));
            }
            return Ok(taken.messages);
        }
        if taken.part.is_empty() || !taken.messages.is_empty() {
            return Err(malformed("a part without bytes, or with messages"));
        }
        self.part(&taken.part, taken.complete)
    }

    fn part(&mut self, part: &[u8], complete: bool) -> Result<Vec<S::Message>, Broken> {
        if self.parts.len() + part.len() > self.max_message {
            return Err(Broken::TooLarge(self.max_message));
        }
        self.parts.extend_from_slice(part);
        if !complete {
            return Ok(Vec::new());
        }
        let whole = std::mem::take(&mut self.parts).freeze();
        let message =
            S::Message::decode(whole).map_err(|error| Broken::Malformed(error.to_string()))?;
        Ok(vec![message])
    }
}

fn malformed(why: &str) -> Broken {
    Broken::Malformed(why.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn sweep(group: &str) -> Bytes {
        let body = wire::to_node::Body::Sweep(wire::Sweep {
            group: group.to_owned(),
        });
        wire::ToNode { body: Some(body) }.encode_to_vec().into()
    }

    fn bytes(frame: &Frame) -> Bytes {
        frame.chunks.concat().into()
    }

    fn groups(messages: Vec<wire::ToNode>) -> Vec<usize> {
        let group = |m: wire::ToNode| match m.body {
            Some(wire::to_node::Body::Sweep(sweep)) => sweep.group.len(),
            _ => usize::MAX,
        };
        messages.into_iter().map(group).collect()
    }

    #[test]
    fn a_frame_brings_its_messages_in_order() {
        let mut frame = Frame::default();
        for length in [3, 200, 0] {
            frame.add(sweep(&"x".repeat(length)));
        }
        let mut assembler = Assembler::<FromFront>::new(1024);
        let messages = assembler.take(bytes(&frame)).unwrap();
        assert_eq!(groups(messages), [3, 200, 0]);
    }

    #[test]
    fn a_large_message_comes_in_parts_with_signs_of_life_between_them() {
        let large = sweep(&"x".repeat(3 * PART_BYTES));
        let frames = Frame::parts(large);
        assert_eq!(frames.len(), 4);
        let mut assembler = Assembler::<FromFront>::new(4 * PART_BYTES);
        let mut came = Vec::new();
        for frame in &frames {
            assert!(frame.len() <= MAX_FRAME_BYTES);
            came.extend(assembler.take(bytes(frame)).unwrap());
            came.extend(assembler.take(Bytes::new()).unwrap());
        }
        assert_eq!(groups(came), [3 * PART_BYTES]);
    }

    #[test]
    fn i9_a_message_above_the_bound_breaks_the_link() {
        let mut frames = Frame::parts(sweep(&"x".repeat(3 * PART_BYTES)));
        let mut assembler = Assembler::<FromFront>::new(PART_BYTES);
        let first = frames.pop_front().unwrap();
        assert!(assembler.take(bytes(&first)).unwrap().is_empty());
        let second = frames.pop_front().unwrap();
        let broken = assembler.take(bytes(&second)).unwrap_err();
        assert!(matches!(broken, Broken::TooLarge(PART_BYTES)));
    }

    #[test]
    fn what_is_no_frame_or_comes_out_of_turn_breaks_the_link() {
        let mut whole = Frame::default();
        whole.add(sweep("a"));
        let hello = Frame::hello(&wire::Hello::default());
        let part = Frame::parts(sweep(&"x".repeat(2 * PART_BYTES)));
        for frames in [
            vec![Bytes::from_static(b"\xff\xff")],
            vec![bytes(&hello)],
            vec![Bytes::from_static(&[COMPLETE, 1])],
            vec![bytes(part.front().unwrap()), bytes(&whole)],
        ] {
            let mut assembler = Assembler::<FromFront>::new(4 * PART_BYTES);
            let last = frames.into_iter().map(|f| assembler.take(f)).last();
            assert!(matches!(last, Some(Err(Broken::Malformed(_)))));
        }
        assert!(Assembler::<FromNode>::hello(bytes(&whole)).is_err());
        assert!(Assembler::<FromNode>::hello(bytes(&hello)).is_ok());
    }
}

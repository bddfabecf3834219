//! Frames in and out of tonic: their bytes are made and read elsewhere ([`crate::frame`]).

use crate::frame::{Frame, MAX_FRAME_BYTES};
use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Both directions are frames.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FrameCodec;

/// The service's method, as in link.proto.
pub(crate) const METHOD: &str = "/coven.v1.link.Link/Attach";

/// The service's name, as in link.proto.
pub(crate) const SERVICE: &str = "coven.v1.link.Link";

/// What the codec lets through; above that tonic closes the stream.
pub(crate) const MAX_DECODE: usize = MAX_FRAME_BYTES;

impl Codec for FrameCodec {
    type Encode = Frame;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for FrameCodec {
    type Item = Frame;
    type Error = Status;

    fn encode(&mut self, frame: Frame, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(frame.len());
        for chunk in frame.chunks {
            out.put(chunk);
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for FrameCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

//! The client side of XEP-0114: one component stream.
//!
//! Owns the order of things on a stream: header, handshake, stanzas, end. It takes bytes, gives events, and writes into
//! a buffer what has to be answered. It does not own the socket, time-outs, reconnecting (MUC-COMP-02 leaves the pace to
//! the shell), or what stanzas are sent; the shell sends none before [`Event::Ready`] (MUC-COMP-01).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha1::{Digest, Sha1};
use smol_str::SmolStr;

use super::Limits;
use super::framer::{Frame, FrameError, Framer};
use super::header::{Header, StreamError, TopLevel, classify};
use crate::ns;
use crate::stanza::{Rejected, Scope, Stanza, escape_attribute};

const CLOSE: &[u8] = b"</stream:stream>";

/// What happened on the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server answered the header; the handshake is in the output buffer.
    Opened {
        /// The server's stream id.
        stream_id: SmolStr,
    },
    /// The server took the handshake: stanzas may be sent.
    Ready,
    /// A stanza came.
    Stanza(RawStanza),
    /// The stream is over, and not by mutual consent. Nothing more comes.
    Broken(Broken),
    /// The server closed the stream. Nothing more comes.
    Closed,
}

/// Why a stream broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The server said so.
    #[error(transparent)]
    Refused(#[from] StreamError),
    /// Its bytes cannot be cut into stanzas.
    #[error(transparent)]
    Framing(#[from] FrameError),
    /// What answers is not a component port: no stream header, or one of another namespace.
    #[error("not a component stream")]
    NotAComponentStream,
    /// Something other than a handshake came before the handshake.
    #[error("stanza before the handshake")]
    BeforeHandshake,
}

/// A stanza as it was cut from the stream, not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawStanza {
    xml: Bytes,
    scope: Arc<Scope>,
    is_whole: bool,
}

impl RawStanza {
    /// A stanza that came some other way than through a [`Component`].
    #[must_use]
    pub fn new(xml: Bytes, scope: Arc<Scope>) -> Self {
        Self {
            xml,
            scope,
            is_whole: true,
        }
    }

    /// Bytes as they came; of a stanza over the limit, its start tag at most.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.xml
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`Rejected`]: not usable or over a bound, with what is known for an answer.
    pub fn read(&self, limits: &Limits) -> Result<Stanza, Rejected> {
        if self.is_whole {
            Stanza::read(&self.xml, &self.scope, limits)
        } else {
            Err(Rejected::oversized(&self.xml, &self.scope))
        }
    }
}

/// One component stream, from the header to its end.
pub struct Component {
    domain: SmolStr,
    secret: Box<str>,
    limits: Limits,
    framer: Framer,
    phase: Phase,
    scope: Arc<Scope>,
    closed_by_us: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Header,
    Handshake,
    Ready,
    Over,
}

impl Component {
    /// A stream for `domain`; puts the header into `out`.
    ///
    /// Source: XEP-0114 §3. Requirement MUC-COMP-01.
    #[must_use]
    pub fn open(domain: &str, secret: &str, limits: Limits, out: &mut Vec<u8>) -> Self {
        write_header(domain, out);
        Self {
            domain: domain.into(),
            secret: secret.into(),
            framer: Framer::new(&limits),
            limits,
            phase: Phase::Header,
            scope: Arc::default(),
            closed_by_us: false,
        }
    }

    /// Takes bytes from the server, in any chunks.
    ///
    /// Appends what happened to `events`, and what has to be sent at once to `out`.
    pub fn handle_bytes(&mut self, mut input: &[u8], events: &mut Vec<Event>, out: &mut Vec<u8>) {
        while self.phase != Phase::Over {
            match self.framer.next(&mut input) {
                Ok(Some(frame)) => self.handle_frame(frame, events, out),
                Ok(None) => return,
                Err(error) => {
                    write_error(error, out);
                    self.broken(error.into(), events, out);
                }
            }
        }
    }

    /// Ends our side of the stream. What the server still sends is given out until it closes its own.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if !self.closed_by_us {
            self.closed_by_us = true;
            out.extend_from_slice(CLOSE);
        }
    }

    /// Whether stanzas may be sent.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready && !self.closed_by_us
    }

    /// The stream's own domain: each outgoing stanza has it in `from`.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    fn handle_frame(&mut self, frame: Frame, events: &mut Vec<Event>, out: &mut Vec<u8>) {
        match frame {
            Frame::Open(xml) => self.handle_header(&xml, events, out),
            Frame::Stanza(xml) => self.handle_element(xml, events, out),
            Frame::Oversized(xml) => self.handle_stanza(xml, false, events, out),
            Frame::Close => {
                self.close(out);
                self.phase = Phase::Over;
                events.push(Event::Closed);
            }
        }
    }

    /// Without an id there is nothing to make a handshake from: a stream error is to follow.
    fn handle_header(&mut self, xml: &Bytes, events: &mut Vec<Event>, out: &mut Vec<u8>) {
        let header =
            Header::read(xml).filter(|header| header.scope.default_namespace() == ns::COMPONENT);
        let Some(header) = header else {
            return self.broken(Broken::NotAComponentStream, events, out);
        };
        self.scope = Arc::new(header.scope);
        self.phase = Phase::Handshake;
        if let Some(stream_id) = header.id {
            write_handshake(&stream_id, &self.secret, out);
            events.push(Event::Opened { stream_id });
        }
    }

    fn handle_element(&mut self, xml: Bytes, events: &mut Vec<Event>, out: &mut Vec<u8>) {
        match classify(&xml, &self.scope, &self.limits) {
            TopLevel::Error(error) => self.broken(error.into(), events, out),
            TopLevel::Handshake if self.phase == Phase::Handshake => {
                self.phase = Phase::Ready;
                events.push(Event::Ready);
            }
            TopLevel::Features => {}
            TopLevel::Handshake | TopLevel::Other => self.handle_stanza(xml, true, events, out),
        }
    }

    fn handle_stanza(
        &mut self,
        xml: Bytes,
        is_whole: bool,
        events: &mut Vec<Event>,
        out: &mut Vec<u8>,
    ) {
        if self.phase == Phase::Handshake {
            return self.broken(Broken::BeforeHandshake, events, out);
        }
        let scope = Arc::clone(&self.scope);
        events.push(Event::Stanza(RawStanza {
            xml,
            scope,
            is_whole,
        }));
    }

    fn broken(&mut self, broken: Broken, events: &mut Vec<Event>, out: &mut Vec<u8>) {
        self.close(out);
        self.phase = Phase::Over;
        events.push(Event::Broken(broken));
    }
}

impl fmt::Debug for Component {
    /// Without the secret (S-63).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("domain", &self.domain)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

fn write_header(domain: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<?xml version='1.0'?><stream:stream xmlns='");
    out.extend_from_slice(ns::COMPONENT.as_bytes());
    out.extend_from_slice(b"' xmlns:stream='");
    out.extend_from_slice(ns::STREAM.as_bytes());
    out.extend_from_slice(b"' to='");
    escape_attribute(out, domain);
    out.extend_from_slice(b"'>");
}

/// XEP-0114 §3: SHA-1 over stream id and secret, lower-case hexadecimal.
fn write_handshake(stream_id: &str, secret: &str, out: &mut Vec<u8>) {
    let digest = Sha1::new()
        .chain_update(stream_id)
        .chain_update(secret)
        .finalize();
    out.extend_from_slice(b"<handshake>");
    for byte in digest {
        out.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    out.extend_from_slice(b"</handshake>");
}

fn write_error(error: FrameError, out: &mut Vec<u8>) {
    let condition = match error {
        FrameError::NotWellFormed => "not-well-formed",
        FrameError::RestrictedXml => "restricted-xml",
    };
    out.extend_from_slice(b"<stream:error><");
    out.extend_from_slice(condition.as_bytes());
    out.extend_from_slice(b" xmlns='");
    out.extend_from_slice(ns::STREAM_ERRORS.as_bytes());
    out.extend_from_slice(b"'/></stream:error>");
}

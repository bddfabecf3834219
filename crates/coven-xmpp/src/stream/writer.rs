//! The output buffer of one stream.
//!
//! Owns how stanzas become few large writes: whole stanzas are packed into chunks of 64 KiB. It refuses what the
//! upstream would close the stream for: a stanza over its size (I9), and one whose `from` is not of the stream's domain
//! (MUC-COMP-03). It does not own the socket, nor a bound on what waits: whoever fills it looks at [`Writer::pending`].

use std::collections::VecDeque;

use bytes::Bytes;
use smol_str::SmolStr;

use crate::stanza::{Outgoing, Template};

/// Bytes of a chunk, unless a single stanza is larger.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// What follows `to` in a stanza is shared and not copied from so many bytes on.
const SHARED_BYTES: usize = 16 * 1024;

/// Buffers kept for use.
const MAX_SPARE: usize = 8;

/// Packs stanzas into chunks for one stream.
#[derive(Debug)]
pub struct Writer {
    domain: SmolStr,
    max_stanza_bytes: usize,
    current: Vec<u8>,
    full: VecDeque<Chunk>,
    full_bytes: usize,
    /// Buffers that were written and serve again.
    spare: Vec<Vec<u8>>,
}

/// Whole stanzas, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// What is to be written first.
    pub packed: Bytes,
    /// What is to be written behind it: the end of its last stanza, shared with other copies of that; mostly empty.
    pub shared: Bytes,
}

impl Chunk {
    /// Bytes of both.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.packed.len() + self.shared.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Bytes> for Chunk {
    fn from(packed: Bytes) -> Self {
        let shared = Bytes::new();
        Self { packed, shared }
    }
}

/// Why a stanza was not taken. Nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Larger than the upstream takes. The requester gets `resource-constraint`; it is never sent again.
    #[error("stanza of {bytes} bytes exceeds {max}")]
    TooLarge {
        /// What it would have taken.
        bytes: usize,
        /// What the upstream takes.
        max: usize,
    },
    /// Its `from` is of another domain: the upstream would close the whole stream.
    #[error("from of domain {from} on the stream of {domain}")]
    ForeignFrom {
        /// Domain of `from`.
        from: SmolStr,
        /// The stream's own.
        domain: SmolStr,
    },
}

impl Writer {
    /// A writer for the stream of `domain`, whose upstream takes stanzas of up to `max_stanza_bytes`.
    #[must_use]
    pub fn new(domain: &str, max_stanza_bytes: usize) -> Self {
        Self {
            domain: domain.into(),
            max_stanza_bytes,
            current: Vec::new(),
            full: VecDeque::new(),
            full_bytes: 0,
            spare: Vec::new(),
        }
    }

    /// Appends `template` for `to` (unescaped). Large ones are not copied: their bytes are shared by all recipients, so
    /// that what waits takes memory once (S-52).
    ///
    /// Source: XEP-0114 §3, requirement MUC-COMP-03; invariant I9.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing was written then.
    pub fn push(&mut self, template: &Template, to: &str) -> Result<(), Refused> {
        self.check_from(template)?;
        let tail = template.tail();
        if tail.len() >= SHARED_BYTES {
            return self.push_shared(template, to);
        }
        let estimate = template.len_without_to() + to.len();
        self.seal_unless_fits(estimate);
        let start = self.current.len();
        template.write_to(&mut self.current, to);
        self.check_size(start, 0)
    }

    /// Appends one addressed stanza.
    ///
    /// # Errors
    ///
    /// As [`Self::push`].
    pub fn push_outgoing(&mut self, stanza: &Outgoing) -> Result<(), Refused> {
        self.push(&stanza.template, &stanza.to)
    }

    /// Appends bytes that are not a stanza: white space that keeps the stream alive, or its end.
    pub fn push_raw(&mut self, bytes: &[u8]) {
        self.seal_unless_fits(bytes.len());
        self.current.extend_from_slice(bytes);
    }

    /// Takes the oldest full chunk.
    pub fn take_full(&mut self) -> Option<Chunk> {
        let chunk = self.full.pop_front()?;
        self.full_bytes -= chunk.len();
        Some(chunk)
    }

    /// Takes the oldest chunk, full or not: for when nothing more comes at once.
    pub fn take(&mut self) -> Option<Chunk> {
        let full = self.take_full();
        full.or_else(|| self.take_current().map(Chunk::from))
    }

    /// Bytes that wait to be taken.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.full_bytes + self.current.len()
    }

    /// Drops all that waits; tells how many bytes that were.
    pub fn clear(&mut self) -> usize {
        let dropped = self.pending();
        self.current.clear();
        self.full.clear();
        self.full_bytes = 0;
        dropped
    }

    fn push_shared(&mut self, template: &Template, to: &str) -> Result<(), Refused> {
        let tail = template.tail();
        self.seal_unless_fits(template.len_without_to() - tail.len() + to.len());
        let start = self.current.len();
        template.write_head_to(&mut self.current, to);
        self.check_size(start, tail.len())?;
        let packed = self.take_current().unwrap_or_default();
        let shared = tail.clone();
        self.push_full(Chunk { packed, shared });
        Ok(())
    }

    /// Takes back the memory of a chunk that was written, if nobody else holds it. Fresh memory costs as much as writing.
    pub fn recycle(&mut self, written: Bytes) {
        if self.spare.len() < MAX_SPARE
            && let Ok(mut buffer) = written.try_into_mut()
        {
            buffer.clear();
            let buffer = Vec::from(buffer);
            if buffer.capacity() == CHUNK_BYTES {
                self.spare.push(buffer);
            }
        }
    }

    /// A small rest is copied out, so that the large buffer serves again.
    fn take_current(&mut self) -> Option<Bytes> {
        if self.current.is_empty() {
            return None;
        }
        if self.current.len() > CHUNK_BYTES / 2 {
            return Some(Bytes::from(std::mem::take(&mut self.current)));
        }
        let chunk = Bytes::copy_from_slice(&self.current);
        self.current.clear();
        Some(chunk)
    }

    fn check_from(&self, template: &Template) -> Result<(), Refused> {
        if template.from_domain() == self.domain {
            return Ok(());
        }
        Err(Refused::ForeignFrom {
            from: template.from_domain().into(),
            domain: self.domain.clone(),
        })
    }

    /// Escaping makes an address longer, so the size is known for certain only after writing.
    fn check_size(&mut self, start: usize, shared: usize) -> Result<(), Refused> {
        let bytes = self.current.len() - start + shared;
        if bytes <= self.max_stanza_bytes {
            return Ok(());
        }
        self.current.truncate(start);
        Err(Refused::TooLarge {
            bytes,
            max: self.max_stanza_bytes,
        })
    }

    fn seal_unless_fits(&mut self, bytes: usize) {
        if self.current.len() + bytes > CHUNK_BYTES {
            self.seal();
        }
        if self.current.capacity() == 0 {
            self.current = self.spare.pop().unwrap_or_default();
            self.current.reserve_exact(CHUNK_BYTES.max(bytes));
        }
    }

    fn seal(&mut self) {
        if !self.current.is_empty() {
            let chunk = Bytes::from(std::mem::take(&mut self.current));
            self.push_full(chunk.into());
        }
    }

    fn push_full(&mut self, chunk: Chunk) {
        self.full_bytes += chunk.len();
        self.full.push_back(chunk);
    }
}

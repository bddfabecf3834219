//! Cuts the bytes of a stream into its top-level elements.
//!
//! Owns where a stanza begins and ends, and nothing else about it: tags, quotes, CDATA and depth are followed, names
//! and namespaces are not looked at. So one stanza that cannot be used never costs the stream (I10): only what leaves
//! no certain boundary ends it, and what XMPP forbids between stanzas. Each byte is looked at once, whatever the
//! chunks; a stanza is copied once; one over the limit is passed over without being kept (S-03).
//!
//! Read next: `../stanza/scan.rs`, which reads what was cut.

use bytes::Bytes;
use memchr::{memchr, memchr3};

use super::Limits;

/// Bytes of the stream header, of the XML declaration, and of a start tag kept of a stanza over the limit.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// One piece of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The start tag of the stream.
    Open(Bytes),
    /// A whole top-level element.
    Stanza(Bytes),
    /// A top-level element over the limit: its start tag, or nothing if that was over 16 KiB itself.
    Oversized(Bytes),
    /// The end tag of the stream.
    Close,
}

/// Why the stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameError {
    /// The bytes have no certain boundary.
    #[error("stream is not well-formed")]
    NotWellFormed,
    /// A comment, processing instruction or declaration outside of stanzas (RFC 6120 §11.1, S-01).
    #[error("stream has restricted xml")]
    RestrictedXml,
}

/// The state of cutting one stream.
#[derive(Debug)]
pub struct Framer {
    max_stanza_bytes: usize,
    state: State,
    depth: usize,
    /// A top-level element has begun and not ended.
    inside: bool,
    /// What earlier chunks brought of it.
    kept: Vec<u8>,
    /// Bytes of its start tag, once that has ended.
    head_bytes: Option<usize>,
    /// Its start tag, once it is over the limit.
    oversized: Option<Bytes>,
    /// Something other than white space has come.
    begun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// After `<`.
    Markup,
    /// In a start tag, outside of quotes; with the byte before.
    Tag(u8),
    Quote(u8),
    EndTag,
    /// After `<!`, with so many bytes of `[CDATA[`, or one of `--`.
    CdataOpen(usize),
    CommentOpen,
    /// In a section that ends with `>` after two certain bytes; with the two bytes before.
    Section(Section, [u8; 2]),
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Cdata,
    Comment,
    Instruction,
}

/// What the bytes just taken mean for the element being cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Nothing,
    /// The last byte taken begins a top-level element.
    Begin,
    /// The start tag of a stanza has ended.
    HeadEnd,
    Declaration,
    Open,
    Stanza,
    Close,
}

impl Framer {
    /// A framer for a new stream.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            max_stanza_bytes: limits.stanza_bytes,
            state: State::Text,
            depth: 0,
            inside: false,
            kept: Vec::new(),
            head_bytes: None,
            oversized: None,
            begun: false,
        }
    }

    /// Takes bytes from the front of `input` up to the end of the next piece. `None`: all was taken, more is needed.
    ///
    /// # Errors
    ///
    /// [`FrameError`]: the stream is over, and must not be fed again.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        let chunk = *input;
        let (mut start, mut at) = (0, 0);
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            let (taken, mark) = self.take(rest)?;
            at += taken;
            match mark {
                Mark::Nothing => {}
                Mark::Begin => start = at - 1,
                Mark::HeadEnd => self.head_bytes = Some(self.kept.len() + at - start),
                complete => {
                    *input = chunk.get(at..).unwrap_or_default();
                    let part = chunk.get(start..at).unwrap_or_default();
                    match self.finish(complete, part)? {
                        None => return self.next(input),
                        frame => return Ok(frame),
                    }
                }
            }
        }
        *input = &[];
        self.keep(chunk.get(start..).unwrap_or_default())?;
        Ok(None)
    }

    /// Bytes held of an element that has not ended.
    #[must_use]
    pub fn held(&self) -> usize {
        self.kept.len()
    }

    fn take(&mut self, rest: &[u8]) -> Result<(usize, Mark), FrameError> {
        match self.state {
            State::Text if self.depth <= 1 => self.take_between(rest),
            State::Text => Ok(self.take_text(rest)),
            State::Markup => self.take_markup(rest),
            State::Tag(before) => self.take_tag(rest, before),
            State::Quote(quote) => Ok(self.take_quoted(rest, quote)),
            State::EndTag => Ok(self.take_end_tag(rest)),
            State::CdataOpen(matched) => self.take_cdata_open(rest, matched),
            State::CommentOpen => self.take_comment_open(rest),
            State::Section(section, before) => Ok(self.take_section(rest, section, before)),
            State::Closed => Ok((rest.len(), Mark::Nothing)),
        }
    }

    /// Between stanzas there is only white space (RFC 6120 §4.4).
    fn take_between(&mut self, rest: &[u8]) -> Result<(usize, Mark), FrameError> {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let Some(spaces) = rest.iter().position(|byte| !is_space(byte)) else {
            return Ok((rest.len(), Mark::Nothing));
        };
        if rest.get(spaces) != Some(&b'<') {
            return Err(FrameError::NotWellFormed);
        }
        self.state = State::Markup;
        self.inside = true;
        Ok((spaces + 1, Mark::Begin))
    }

    fn take_text(&mut self, rest: &[u8]) -> (usize, Mark) {
        let Some(length) = memchr(b'<', rest) else {
            return (rest.len(), Mark::Nothing);
        };
        self.state = State::Markup;
        (length + 1, Mark::Nothing)
    }

    fn take_markup(&mut self, rest: &[u8]) -> Result<(usize, Mark), FrameError> {
        let byte = rest.first().copied().unwrap_or_default();
        self.state = match byte {
            b'/' if self.depth > 0 => State::EndTag,
            b'!' if self.depth > 1 => State::CdataOpen(0),
            b'?' if self.depth > 1 || !self.begun => State::Section(Section::Instruction, [0, 0]),
            b'!' | b'?' => return Err(FrameError::RestrictedXml),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' | 0x80.. => State::Tag(byte),
            _ => return Err(FrameError::NotWellFormed),
        };
        self.begun = true;
        Ok((1, Mark::Nothing))
    }

    fn take_tag(&mut self, rest: &[u8], before: u8) -> Result<(usize, Mark), FrameError> {
        let Some(length) = memchr3(b'>', b'\'', b'"', rest) else {
            self.state = State::Tag(rest.last().copied().unwrap_or(before));
            return Ok((rest.len(), Mark::Nothing));
        };
        let found = rest.get(length).copied().unwrap_or_default();
        if found != b'>' {
            self.state = State::Quote(found);
            return Ok((length + 1, Mark::Nothing));
        }
        let last = length
            .checked_sub(1)
            .and_then(|at| rest.get(at))
            .copied()
            .unwrap_or(before);
        self.state = State::Text;
        Ok((length + 1, self.start_tag_ended(last == b'/')?))
    }

    fn start_tag_ended(&mut self, empty: bool) -> Result<Mark, FrameError> {
        match (self.depth, empty) {
            (0, true) => return Err(FrameError::NotWellFormed),
            (1, true) => return Ok(Mark::Stanza),
            (_, true) => return Ok(Mark::Nothing),
            (_, false) => self.depth += 1,
        }
        Ok(match self.depth {
            1 => Mark::Open,
            2 => Mark::HeadEnd,
            _ => Mark::Nothing,
        })
    }

    fn take_quoted(&mut self, rest: &[u8], quote: u8) -> (usize, Mark) {
        let Some(length) = memchr(quote, rest) else {
            return (rest.len(), Mark::Nothing);
        };
        self.state = State::Tag(quote);
        (length + 1, Mark::Nothing)
    }

    fn take_end_tag(&mut self, rest: &[u8]) -> (usize, Mark) {
        let Some(length) = memchr(b'>', rest) else {
            return (rest.len(), Mark::Nothing);
        };
        self.depth = self.depth.saturating_sub(1);
        self.state = State::Text;
        let mark = match self.depth {
            0 => Mark::Close,
            1 => Mark::Stanza,
            _ => Mark::Nothing,
        };
        (length + 1, mark)
    }

    fn take_cdata_open(
        &mut self,
        rest: &[u8],
        matched: usize,
    ) -> Result<(usize, Mark), FrameError> {
        const OPEN: &[u8] = b"[CDATA[";
        let byte = rest.first();
        self.state = match byte {
            Some(b'-') if matched == 0 => State::CommentOpen,
            _ if byte != OPEN.get(matched) => return Err(FrameError::RestrictedXml),
            _ if matched + 1 == OPEN.len() => State::Section(Section::Cdata, [0, 0]),
            _ => State::CdataOpen(matched + 1),
        };
        Ok((1, Mark::Nothing))
    }

    fn take_comment_open(&mut self, rest: &[u8]) -> Result<(usize, Mark), FrameError> {
        if rest.first() != Some(&b'-') {
            return Err(FrameError::NotWellFormed);
        }
        self.state = State::Section(Section::Comment, [0, 0]);
        Ok((1, Mark::Nothing))
    }

    fn take_section(&mut self, rest: &[u8], section: Section, before: [u8; 2]) -> (usize, Mark) {
        let Some(length) = memchr(b'>', rest) else {
            self.state = State::Section(section, last_two(rest, before));
            return (rest.len(), Mark::Nothing);
        };
        let taken = length + 1;
        let last = last_two(rest.get(..length).unwrap_or_default(), before);
        if !section.ends_after(last) {
            self.state = State::Section(section, [last[1], b'>']);
            return (taken, Mark::Nothing);
        }
        self.state = State::Text;
        (
            taken,
            if self.depth == 0 {
                Mark::Declaration
            } else {
                Mark::Nothing
            },
        )
    }

    /// Keeps `part` of the element being cut for when the rest of it comes.
    fn keep(&mut self, part: &[u8]) -> Result<(), FrameError> {
        if !self.inside || self.oversized.is_some() {
            return Ok(());
        }
        let bytes = self.kept.len() + part.len();
        if self.depth == 0 && bytes > MAX_HEAD_BYTES {
            return Err(FrameError::NotWellFormed);
        }
        if bytes <= self.max_stanza_bytes {
            self.kept.extend_from_slice(part);
        } else {
            self.oversized = Some(self.head(part));
            self.kept = Vec::new();
        }
        Ok(())
    }

    /// The start tag of the element being cut, of which `part` follows what was kept.
    fn head(&mut self, part: &[u8]) -> Bytes {
        let Some(wanted) = self.head_bytes.filter(|bytes| *bytes <= MAX_HEAD_BYTES) else {
            return Bytes::new();
        };
        let missing = wanted.saturating_sub(self.kept.len());
        self.kept
            .extend_from_slice(part.get(..missing).unwrap_or_default());
        self.kept.truncate(wanted);
        Bytes::copy_from_slice(&self.kept)
    }

    /// `None` for what is not given out: the XML declaration.
    fn finish(&mut self, mark: Mark, part: &[u8]) -> Result<Option<Frame>, FrameError> {
        self.keep(part)?;
        let xml = Bytes::from(std::mem::take(&mut self.kept));
        self.inside = false;
        self.head_bytes = None;
        let oversized = self.oversized.take();
        match mark {
            Mark::Declaration if is_declaration(&xml) => Ok(None),
            Mark::Declaration => Err(FrameError::RestrictedXml),
            Mark::Open => Ok(Some(Frame::Open(xml))),
            Mark::Close => {
                self.state = State::Closed;
                Ok(Some(Frame::Close))
            }
            _ => Ok(Some(oversized.map_or(Frame::Stanza(xml), Frame::Oversized))),
        }
    }
}

impl Section {
    fn ends_after(self, last: [u8; 2]) -> bool {
        match self {
            Self::Cdata => last == *b"]]",
            Self::Comment => last == *b"--",
            Self::Instruction => last[1] == b'?',
        }
    }
}

fn last_two(bytes: &[u8], before: [u8; 2]) -> [u8; 2] {
    match bytes {
        [] => before,
        [only] => [before[1], *only],
        [.., first, second] => [*first, *second],
    }
}

/// `<?xml` and white space; what it says is not looked at, since other encodings fail as soon as they matter.
fn is_declaration(xml: &[u8]) -> bool {
    xml.strip_prefix(b"<?xml")
        .is_some_and(|rest| rest.first().is_some_and(|byte| *byte <= b' '))
}

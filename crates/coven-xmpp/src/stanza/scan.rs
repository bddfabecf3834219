//! Cuts the text of one stanza into tags, attributes and text.
//!
//! Owns well-formedness as far as it can be seen without looking back: tags, quotes, references, CDATA, names. Nesting,
//! namespaces and bounds are `walk.rs`. Everything given out is a slice of the input.

use memchr::{memchr, memchr_iter, memchr2, memmem};

use super::chars::{BEYOND, COLON, START, class, has_good_references, is_ncname, is_space};
use crate::stream::Excess;

/// What is wrong with the XML of one stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// Not UTF-8, or with characters that XML does not have.
    #[error("characters that xml does not have")]
    Characters,
    /// Not well-formed.
    #[error("not well-formed: {0}")]
    Syntax(&'static str),
    /// A comment, processing instruction or declaration: XMPP has none (RFC 6120 §11.1).
    #[error("restricted xml: {0}")]
    Restricted(&'static str),
    /// A prefix is used that nothing declares, or a reserved one is declared.
    #[error("namespace prefix not declared or reserved")]
    Prefix,
    /// Two attributes of one name.
    #[error("attribute given twice")]
    DuplicateAttribute,
    /// Over a bound.
    #[error(transparent)]
    Excess(#[from] Excess),
}

/// A name with its prefix, which may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QName<'a> {
    pub(crate) full: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) local: &'a str,
}

/// A piece of a stanza. Values are as they stand in the input, references known to be good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// `<name`, which begins at `at`.
    Open { at: usize, name: QName<'a> },
    /// `name='value'`; `quoted` has the quotes.
    Attribute {
        name: QName<'a>,
        value: &'a str,
        quoted: &'a str,
    },
    /// `>` or `/>` of a start tag.
    OpenEnd { empty: bool },
    /// `</name>`.
    Close { name: &'a str },
    /// Text between tags.
    Text { raw: &'a str },
    /// A CDATA section: `raw` with its marks, `content` without.
    Cdata { raw: &'a str, content: &'a str },
    /// The end of the input.
    End,
}

#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    source: &'a str,
    position: usize,
    in_tag: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        Self {
            source,
            position: 0,
            in_tag: false,
        }
    }

    /// Where the next token begins.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn next(&mut self) -> Result<Token<'a>, Fault> {
        if self.in_tag {
            return self.inside_tag();
        }
        match (self.peek(0), self.peek(1)) {
            (None, _) => Ok(Token::End),
            (Some(b'<'), Some(b'/')) => self.close_tag(),
            (Some(b'<'), Some(b'!')) => self.cdata(),
            (Some(b'<'), Some(b'?')) => Err(Fault::Restricted("processing instruction")),
            (Some(b'<'), _) => self.open_tag(),
            _ => self.text(),
        }
    }

    fn open_tag(&mut self) -> Result<Token<'a>, Fault> {
        let at = self.position;
        self.position += 1;
        let name = self.qname()?;
        self.in_tag = true;
        Ok(Token::Open { at, name })
    }

    fn inside_tag(&mut self) -> Result<Token<'a>, Fault> {
        let spaced = self.skip_space();
        let empty = match self.peek(0) {
            Some(b'>') => false,
            Some(b'/') => true,
            _ if !spaced => return Err(Fault::Syntax("no space before an attribute")),
            _ => return self.attribute(),
        };
        self.position += usize::from(empty);
        self.expect(b'>', "start tag does not end")?;
        self.in_tag = false;
        Ok(Token::OpenEnd { empty })
    }

    fn attribute(&mut self) -> Result<Token<'a>, Fault> {
        let name = self.qname()?;
        self.skip_space();
        self.expect(b'=', "attribute without a value")?;
        self.skip_space();
        let start = self.position;
        let quote = self.peek(0).filter(|byte| matches!(byte, b'\'' | b'"'));
        let quote = quote.ok_or(Fault::Syntax("attribute without quotes"))?;
        let length =
            memchr(quote, self.bytes_from(start + 1)).ok_or(Fault::Syntax("quote does not end"))?;
        let value = self.slice(start + 1, start + 1 + length)?;
        check_value(value)?;
        self.position = start + length + 2;
        Ok(Token::Attribute {
            name,
            value,
            quoted: self.slice(start, self.position)?,
        })
    }

    fn close_tag(&mut self) -> Result<Token<'a>, Fault> {
        self.position += 2;
        let (name, _) = self.name()?;
        self.skip_space();
        self.expect(b'>', "end tag does not end")?;
        Ok(Token::Close { name })
    }

    fn text(&mut self) -> Result<Token<'a>, Fault> {
        let rest = self.bytes_from(self.position);
        let length = memchr(b'<', rest).unwrap_or(rest.len());
        let raw = self.slice(self.position, self.position + length)?;
        check_text(raw)?;
        self.position += length;
        Ok(Token::Text { raw })
    }

    fn cdata(&mut self) -> Result<Token<'a>, Fault> {
        const OPEN: &str = "<![CDATA[";
        const CLOSE: &str = "]]>";
        let start = self.position;
        if !self.bytes_from(start).starts_with(OPEN.as_bytes()) {
            return Err(Fault::Restricted("comment or declaration"));
        }
        let content = start + OPEN.len();
        let length = memmem::find(self.bytes_from(content), CLOSE.as_bytes());
        let end = content + length.ok_or(Fault::Syntax("cdata does not end"))?;
        self.position = end + CLOSE.len();
        Ok(Token::Cdata {
            raw: self.slice(start, self.position)?,
            content: self.slice(content, end)?,
        })
    }

    fn qname(&mut self) -> Result<QName<'a>, Fault> {
        let (full, classes) = self.name()?;
        if classes & (COLON | BEYOND) == 0 {
            let starts_well = full
                .bytes()
                .next()
                .is_some_and(|first| class(first) & START != 0);
            return if starts_well {
                Ok(QName {
                    full,
                    prefix: "",
                    local: full,
                })
            } else {
                Err(NOT_A_NAME)
            };
        }
        let (prefix, local) = full.split_once(':').unwrap_or(("", full));
        let has_prefix = local.len() < full.len();
        if is_ncname(local) && (!has_prefix || is_ncname(prefix)) {
            return Ok(QName {
                full,
                prefix,
                local,
            });
        }
        Err(NOT_A_NAME)
    }

    /// What may be a name, and the classes of all bytes in it.
    fn name(&mut self) -> Result<(&'a str, u8), Fault> {
        let (mut length, mut classes) = (0, 0);
        for byte in self.bytes_from(self.position) {
            let class = class(*byte);
            if class == 0 {
                break;
            }
            classes |= class;
            length += 1;
        }
        let name = self.slice(self.position, self.position + length)?;
        self.position += length;
        Ok((name, classes))
    }

    fn skip_space(&mut self) -> bool {
        let start = self.position;
        while self.peek(0).is_some_and(is_space) {
            self.position += 1;
        }
        self.position > start
    }

    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<(), Fault> {
        if self.peek(0) != Some(byte) {
            return Err(Fault::Syntax(otherwise));
        }
        self.position += 1;
        Ok(())
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.position + ahead).copied()
    }

    fn bytes_from(&self, start: usize) -> &'a [u8] {
        self.source.as_bytes().get(start..).unwrap_or_default()
    }

    fn slice(&self, start: usize, end: usize) -> Result<&'a str, Fault> {
        self.source.get(start..end).ok_or(Fault::Characters)
    }
}

fn check_value(raw: &str) -> Result<(), Fault> {
    match memchr2(b'<', b'&', raw.as_bytes()) {
        None => Ok(()),
        Some(_) if memchr(b'<', raw.as_bytes()).is_some() => {
            Err(Fault::Syntax("< in an attribute"))
        }
        Some(_) => check_references(raw),
    }
}

fn check_text(raw: &str) -> Result<(), Fault> {
    match memchr2(b'&', b']', raw.as_bytes()) {
        None => Ok(()),
        Some(_) if has_section_end(raw.as_bytes()) => Err(Fault::Syntax("]]> in text")),
        Some(_) => check_references(raw),
    }
}

fn has_section_end(raw: &[u8]) -> bool {
    memchr_iter(b']', raw).any(|at| raw.get(at..).is_some_and(|rest| rest.starts_with(b"]]>")))
}

fn check_references(raw: &str) -> Result<(), Fault> {
    if has_good_references(raw) {
        Ok(())
    } else {
        Err(Fault::Syntax("unknown reference"))
    }
}

const NOT_A_NAME: Fault = Fault::Syntax("not a name");

//! Lists that have to stay below the largest stanza (I9).

use crate::stanza::Builder;
use bytes::Bytes;

/// Bytes that a list leaves for the envelope around it: addresses, ids, the `<set/>`.
const ENVELOPE: usize = 16 * 1024;

/// Items written until the next would not fit.
#[derive(Debug)]
pub(crate) struct Fitting {
    /// The items, in order.
    pub(crate) xml: Vec<Bytes>,
    /// How many were left out at the front.
    pub(crate) skipped: usize,
    /// Nothing was left out.
    pub(crate) all: bool,
}

/// Writes as many of `items` as fit into a stanza of `max_stanza` bytes: the first ones, or the last ones for a page that
/// is read backwards.
pub(crate) fn fitting<T>(
    items: &[T],
    max_stanza: usize,
    backwards: bool,
    write: impl Fn(&mut Builder, &T),
) -> Fitting {
    let mut left = max_stanza.saturating_sub(ENVELOPE);
    let mut written = Vec::with_capacity(items.len());
    let mut take = |item: &T| {
        let mut xml = Builder::with_capacity(256);
        write(&mut xml, item);
        let xml = xml.finish();
        let fits = xml.len() <= left;
        if fits {
            left -= xml.len();
            written.push(xml);
        }
        fits
    };
    let all = if backwards {
        items.iter().rev().all(&mut take)
    } else {
        items.iter().all(&mut take)
    };
    if backwards {
        written.reverse();
    }
    let out = items.len() - written.len();
    Fitting {
        xml: written,
        skipped: if backwards { out } else { 0 },
        all,
    }
}

//! Result set management (XEP-0059): which page of a list, and where a page stands.

use crate::ns;
use crate::stanza::Builder;
use minidom::Element;

/// What a requester wants of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// At most so many; 0 asks for the count alone.
    pub(crate) max: Option<u32>,
    /// Those after this one.
    pub(crate) after: Option<String>,
    /// Those before this one; `Some(None)` is the last page.
    pub(crate) before: Option<Option<String>>,
    /// `<index/>`: jumping by number is not offered (MUC-DISCO-06).
    pub(crate) index: bool,
}

impl Wanted {
    /// Reads the `<set/>` of a query; nothing wanted if there is none. `None` if its `<max/>` is no number.
    pub(crate) fn read(query: &Element) -> Option<Self> {
        let Some(set) = query.get_child("set", ns::RSM) else {
            return Some(Self::default());
        };
        let text = |name| set.get_child(name, ns::RSM).map(Element::text);
        let max = match text("max") {
            Some(max) => Some(max.trim().parse().ok()?),
            None => None,
        };
        Some(Self {
            max,
            after: text("after"),
            before: text("before").map(|id| Some(id).filter(|id| !id.is_empty())),
            index: text("index").is_some(),
        })
    }
}

/// Where a page stands among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Page<'a> {
    /// Ids of the first and the last entry; `None` for an empty page.
    pub(crate) ends: Option<(&'a str, &'a str)>,
    /// Place of the first entry among all.
    pub(crate) index: Option<u64>,
    /// How many there are in all.
    pub(crate) count: Option<u64>,
}

impl Page<'_> {
    /// Writes the `<set/>`.
    pub(crate) fn write(&self, xml: &mut Builder) {
        xml.open_ns("set", ns::RSM);
        if let Some((first, last)) = self.ends {
            xml.open("first");
            if let Some(index) = self.index {
                xml.attr("index", &index.to_string());
            }
            xml.text(first).close();
            xml.leaf("last", last);
        }
        if let Some(count) = self.count {
            xml.leaf("count", &count.to_string());
        }
        xml.close();
    }
}

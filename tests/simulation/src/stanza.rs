//! Reads the little of a stanza that servers and clients here look at. The text is coven's own output: single quotes, known
//! prefixes; no general reader of XML.

/// The value of an attribute of the first tag.
#[must_use]
pub fn attribute<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let tag = xml.split('>').next()?;
    let (_, rest) = tag.split_once(&format!(" {name}='"))?;
    rest.split('\'').next()
}

/// The name of the first tag.
#[must_use]
pub fn name(xml: &str) -> &str {
    let rest = xml.strip_prefix('<').unwrap_or(xml);
    let end = rest.find([' ', '>', '/']).unwrap_or(rest.len());
    &rest[..end]
}

/// Whether a status code is in it.
#[must_use]
pub fn has_status(xml: &str, code: &str) -> bool {
    xml.contains(&format!("<status code='{code}'/>"))
}

/// The condition of a stanza error.
#[must_use]
pub fn condition(xml: &str) -> Option<&str> {
    let (_, error) = xml.split_once("<error")?;
    let (_, inside) = error.split_once('>')?;
    Some(name(inside))
}

/// The bare JID of an address.
#[must_use]
pub fn bare(jid: &str) -> &str {
    jid.split('/').next().unwrap_or(jid)
}

/// The resource of an address.
#[must_use]
pub fn resource(jid: &str) -> Option<&str> {
    jid.split_once('/').map(|(_, resource)| resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_at_is_found() {
        let xml = "<message from='a@b/c' id='7'><error type='wait'><conflict xmlns='x'/></error></message>";
        assert_eq!(name(xml), "message");
        assert_eq!(attribute(xml, "id"), Some("7"));
        assert_eq!(condition(xml), Some("conflict"));
        assert_eq!(bare("a@b/c"), "a@b");
        assert!(has_status("<x><status code='110'/></x>", "110"));
    }
}

//! Cutting: boundaries, limits, memory, time.

use std::time::Duration;

use bytes::Bytes;
use coven_xmpp::stream::{Frame, FrameError, Framer, Limits};
use proptest::prelude::*;

const HEADER: &str = "<?xml version='1.0'?>\n<stream:stream xmlns='jabber:component:accept' \
                      xmlns:stream='http://etherx.jabber.org/streams' id='a>b'>";

fn cut_in(chunks: &[&[u8]], limits: &Limits) -> Result<Vec<Frame>, (Vec<Frame>, FrameError)> {
    let mut framer = Framer::new(limits);
    let mut frames = Vec::new();
    for chunk in chunks {
        let mut input = *chunk;
        loop {
            match framer.next(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return Err((frames, error)),
            }
        }
        assert!(input.is_empty());
    }
    Ok(frames)
}

fn cut(xml: &str) -> Result<Vec<Frame>, FrameError> {
    let stream = format!("{HEADER}{xml}");
    let frames = cut_in(&[stream.as_bytes()], &Limits::default()).map_err(|(_, error)| error)?;
    assert!(matches!(&frames[0], Frame::Open(_)));
    Ok(frames[1..].to_vec())
}

fn stanza(xml: &str) -> Frame {
    Frame::Stanza(Bytes::copy_from_slice(xml.as_bytes()))
}

#[test]
fn stanzas_are_cut_where_they_end() {
    let frames = cut("<a/> \n<b x='/>' y=\"'>\"><c/>t<d></d></b><e></e ></stream:stream>").unwrap();
    let expected = [
        stanza("<a/>"),
        stanza("<b x='/>' y=\"'>\"><c/>t<d></d></b>"),
        stanza("<e></e >"),
        Frame::Close,
    ];
    assert_eq!(frames, expected);
}

#[test]
fn s_01_cdata_is_text_whatever_stands_in_it() {
    let xml = "<a><![CDATA[</a><![CDATA[ ]] ]> > <!-- ]]]></a>";
    assert_eq!(cut(xml).unwrap(), [stanza(xml)]);
    let short = "<a><![CDATA[>]]><![CDATA[]]></a>";
    assert_eq!(cut(short).unwrap(), [stanza(short)]);
}

#[test]
fn s_01_restricted_xml_between_stanzas_ends_the_stream() {
    for xml in [
        "<!DOCTYPE a [<!ENTITY b 'c'>]>",
        "<!-- -->",
        "<?php ?>",
        "<![CDATA[ ]]>",
        "<?xml version='1.0'?>",
    ] {
        assert_eq!(cut(xml), Err(FrameError::RestrictedXml), "{xml}");
    }
    let before_header = "<!DOCTYPE stream>";
    let (_, error) = cut_in(&[before_header.as_bytes()], &Limits::default()).unwrap_err();
    assert_eq!(error, FrameError::RestrictedXml);
}

#[test]
fn s_01_a_declaration_in_a_stanza_has_no_certain_end() {
    assert_eq!(
        cut("<a><!DOCTYPE b [ <!ENTITY c '>'> ]></a>"),
        Err(FrameError::RestrictedXml)
    );
}

#[test]
fn s_01_comments_and_instructions_in_a_stanza_stay_in_it() {
    let xml = "<a><!-- </a> -> -- > --><?x </a> > ?></a>";
    assert_eq!(
        cut(&format!("{xml}<b/>")).unwrap(),
        [stanza(xml), stanza("<b/>")]
    );
}

#[test]
fn what_cannot_be_framed_ends_the_stream() {
    for xml in [
        "text",
        "<>",
        "< a/>",
        "<'a'/>",
        "<a><!x></a>",
        "<a><![CDATB[]]></a>",
    ] {
        assert!(cut(xml).is_err(), "{xml}");
    }
    assert!(cut_in(&[b"<stream:stream/>"], &Limits::default()).is_err());
    assert!(cut_in(&[b"</stream:stream>"], &Limits::default()).is_err());
}

#[test]
fn nothing_is_read_after_the_end() {
    assert_eq!(
        cut("<a/></stream:stream><b/><!DOCTYPE x>").unwrap(),
        [stanza("<a/>"), Frame::Close]
    );
}

#[test]
fn s_03_a_stanza_over_the_limit_is_named_and_the_next_one_comes() {
    let limits = Limits {
        stanza_bytes: 100,
        ..Limits::default()
    };
    let head = "<message from='a@b' to='c@d'>";
    let large = format!("{head}<body>{}</body></message>", "x".repeat(200));
    for chunk in [1, 7, 64, 1000] {
        let stream = format!("<s:s>{large}<iq/>");
        let chunks: Vec<&[u8]> = stream.as_bytes().chunks(chunk).collect();
        let frames = cut_in(&chunks, &limits).unwrap();
        assert_eq!(
            frames[1..],
            [Frame::Oversized(Bytes::from(head)), stanza("<iq/>")],
            "chunks of {chunk}"
        );
    }
}

#[test]
fn s_03_a_start_tag_over_the_limit_is_not_kept() {
    let limits = Limits {
        stanza_bytes: 1000,
        ..Limits::default()
    };
    let stream = format!("<s:s><message from='{}'/><iq/>", "x".repeat(300_000));
    let chunks: Vec<&[u8]> = stream.as_bytes().chunks(4096).collect();
    let frames = cut_in(&chunks, &limits).unwrap();
    assert_eq!(
        frames[1..],
        [Frame::Oversized(Bytes::new()), stanza("<iq/>")]
    );
}

#[test]
fn s_03_a_gibibyte_takes_no_more_memory_than_one_stanza() {
    let limits = Limits {
        stanza_bytes: 64 * 1024,
        ..Limits::default()
    };
    let mut framer = Framer::new(&limits);
    let feed = |framer: &mut Framer, mut bytes: &[u8]| framer.next(&mut bytes).unwrap();
    assert!(feed(&mut framer, b"<s:s>").is_some());
    assert!(feed(&mut framer, b"<message from='a'><body>").is_none());
    let filler = vec![b'x'; 1024 * 1024];
    for _ in 0..1024 {
        assert!(feed(&mut framer, &filler).is_none());
        assert!(framer.held() <= 2 * limits.stanza_bytes);
    }
    let end = feed(&mut framer, b"</body></message>");
    assert_eq!(
        end,
        Some(Frame::Oversized(Bytes::from_static(b"<message from='a'>")))
    );
    assert_eq!(feed(&mut framer, b"<iq/>"), Some(stanza("<iq/>")));
}

#[test]
fn s_03_an_endless_stream_header_ends_the_stream() {
    let mut framer = Framer::new(&Limits::default());
    let mut bytes: &[u8] = b"<stream:stream ";
    framer.next(&mut bytes).unwrap();
    let filler = vec![b'x'; 64 * 1024];
    assert_eq!(
        framer.next(&mut filler.as_slice()),
        Err(FrameError::NotWellFormed)
    );
}

#[test]
fn s_04_depth_costs_a_counter() {
    let deep = format!(
        "<s:s>{}{}<iq/>",
        "<a>".repeat(100_000),
        "</a>".repeat(100_000)
    );
    let frames = cut_in(
        &[deep.as_bytes()],
        &Limits {
            stanza_bytes: 10_000_000,
            ..Limits::default()
        },
    )
    .unwrap();
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[2], stanza("<iq/>"));
}

/// Dribbled byte by byte, a large stanza must not be looked at again and again.
#[test]
fn s_03_dribbled_bytes_are_looked_at_once() {
    let stream = format!(
        "<s:s><a b='{}'>{}</a>",
        "v".repeat(100_000),
        "t".repeat(100_000)
    );
    let chunks: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
    let started = processor_time();
    assert_eq!(cut_in(&chunks, &Limits::default()).unwrap().len(), 2);
    let took = processor_time() - started;
    assert!(took < Duration::from_secs(5), "quadratic: {took:?}");
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "<a>",
        "</a>",
        "<b x='>'/>",
        "<c y=\"/>\"/>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "text",
        " ",
        "\n",
        "<?x ",
        "?>",
        "]",
        "-",
        ">",
        "<",
        "/",
        "'",
        "\"",
        "!",
        "<message from='a'>",
        "</message>",
        "<!DOCTYPE x>",
        "é",
        "</s:s>",
    ])
}

proptest! {
    #[test]
    fn chunks_do_not_matter(pieces in prop::collection::vec(piece(), 0..40), sizes in prop::collection::vec(1_usize..9, 1..20)) {
        let limits = Limits { stanza_bytes: 60, ..Limits::default() };
        let stream = format!("<s:s>{}", pieces.concat());
        let mut chunks = Vec::new();
        let mut rest = stream.as_bytes();
        for size in sizes.iter().cycle() {
            if rest.is_empty() { break; }
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        prop_assert_eq!(cut_in(&chunks, &limits), cut_in(&[stream.as_bytes()], &limits));
    }

    #[test]
    fn bytes_never_panic_and_never_pile_up(bytes in prop::collection::vec(any::<u8>(), 0..400), chunk in 1_usize..50) {
        let limits = Limits { stanza_bytes: 50, ..Limits::default() };
        let mut framer = Framer::new(&limits);
        for chunk in bytes.chunks(chunk) {
            let mut input = chunk;
            while let Ok(Some(_)) = framer.next(&mut input) {}
            prop_assert!(framer.held() <= 16 * 1024);
        }
    }
}

/// What this thread has had of a processor: others that are busy do not count. Where the system does not tell, no time passes.
fn processor_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

//! A node and two front-ends over a real Redis, with two XMPP servers: a trace goes through all three processes.

use std::net::SocketAddr;
use std::time::Duration;

use super::collector::{Collector, Told};
use super::server::Server;
use super::{Coven, PATIENCE, redis_server, until};

fn config(redis: &str, upstreams: [SocketAddr; 2]) -> String {
    let upstream = |address| {
        format!(
            "[[upstream]]\naddress = '{address}'\ndomains = ['chat.localhost']\ngroup = 'servers'\n\
             secret = 'canary'\nbarrier = 'off'\n"
        )
    };
    let [one, other] = upstreams.map(upstream);
    format!(
        "[[domain]]\nname = 'chat.localhost'\nlock-timeout = 'off'\n{one}{other}\
         [store]\nurl = '{redis}'\nprefix = 'telemetry'\nshards = 16\n[cluster]\nlisten = '127.0.0.1:0'\n\
         [limits]\nenabled = false\n[http]\nlisten = 'off'\n"
    )
}

/// People who join by the first server, until both servers have got something for some of them.
async fn gather(servers: &[Server; 2]) {
    let [first, second] = servers;
    for n in 0.. {
        let joins = format!(
            "<presence from='canary{n}@localhost/pda' to='canary-room@chat.localhost/canary{n}'>\
             <x xmlns='http://jabber.org/protocol/muc'/></presence>"
        );
        let answer = format!("to='canary{n}@localhost/pda'");
        let double = answer.replace('\'', "\"");
        let is_in = || {
            let mut servers = servers.iter();
            servers.any(|server| server.has(&answer) || server.has(&double))
        };
        while !is_in() {
            first.send(&joins);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if first.has("canary-room@") && second.has("canary-room@") {
            return;
        }
        // The node may not know the second connection yet.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The spans of one trace: read, decided, committed, and how often rendered by whom.
fn is_whole(trace: &[Told]) -> bool {
    let of = |name| trace.iter().filter(move |told| told.span.name == name);
    let mut rendered: Vec<&String> = of("front render").map(|told| &told.instance).collect();
    rendered.sort_unstable();
    rendered.dedup();
    rendered.len() == 2
        && ["front read", "node decide", "node commit"].map(|n| of(n).count()) == [1; 3]
}

/// The first trace of which all is there.
fn whole(collector: &Collector) -> Option<Vec<Told>> {
    let all = collector.told();
    let roots = all.iter().filter(|told| told.span.name == "front read");
    let trace = |root: &Told| -> Vec<Told> {
        let same = |told: &&Told| told.span.trace_id == root.span.trace_id;
        all.iter().filter(same).cloned().collect()
    };
    roots.map(trace).find(|trace| is_whole(trace))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_goes_from_a_front_end_through_a_node_to_all_front_ends() {
    let Some(redis) = redis_server::url() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (collector, endpoint) = Collector::start().await;
    let ((first, at), (second, other)) = (Server::start(), Server::start());
    let config = config(&redis, [at, other]);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{endpoint}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
    ];
    let role = |role| Coven::start(&folder, &config, &["--role", role], &variables);
    let _processes = [role("node"), role("front"), role("front")];
    until("attached", || first.is_attached() && second.is_attached()).await;
    let servers = [first, second];
    let gathered = tokio::time::timeout(2 * PATIENCE, gather(&servers));
    gathered.await.expect("people at both servers");
    // Until each front-end has its stream, one of them may have rendered all.
    let mut said = 0;
    let trace = tokio::time::timeout(2 * PATIENCE, async {
        loop {
            said += 1;
            servers[0].send(&format!(
                "<message from='canary0@localhost/pda' to='canary-room@chat.localhost' type='groupchat' id='canary-{said}'>\
                 <body>canary {said}</body></message>"
            ));
            tokio::time::sleep(Duration::from_millis(300)).await;
            if let Some(trace) = whole(&collector) {
                break trace;
            }
        }
    });
    let trace = trace.await.expect("a trace through three processes");
    let the = |name| trace.iter().find(|told| told.span.name == name).unwrap();
    let (read, decide, commit) = (the("front read"), the("node decide"), the("node commit"));
    assert_eq!(read.span.parent_span_id, b"", "the first of its trace");
    assert_eq!(decide.span.parent_span_id, read.span.span_id);
    assert_eq!(commit.span.parent_span_id, decide.span.span_id);
    let rendered = trace.iter().filter(|told| told.span.name == "front render");
    for told in rendered {
        assert_eq!(told.span.parent_span_id, commit.span.span_id);
        assert_eq!(told.service, "coven-front");
    }
    assert_eq!(read.service, "coven-front");
    assert_eq!(
        (&*decide.service, &*commit.service),
        ("coven-node", "coven-node")
    );
    assert_eq!(decide.instance, commit.instance);
    assert_ne!(decide.instance, read.instance);
    assert!(!collector.everything().contains("canary"));
}

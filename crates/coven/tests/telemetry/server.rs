//! An XMPP server within the test that accepts components.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A server, its newest stream, and what was written to all of them. It answers nothing.
#[derive(Debug, Clone)]
pub(crate) struct Server(Arc<Mutex<Option<TcpStream>>>, Arc<Mutex<String>>);

impl Server {
    /// Listens on a free port.
    pub(crate) fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self(Arc::default(), Arc::default());
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream.unwrap()));
            }
        });
        (server, address)
    }

    /// One stream. A peer that goes meanwhile ends it.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut buffer = [0; 65536];
        let _header = stream.read(&mut buffer).ok()?;
        let header = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
                      xmlns:stream='http://etherx.jabber.org/streams' from='chat.localhost' id='s'>";
        stream.write_all(header.as_bytes()).ok()?;
        let _handshake = stream.read(&mut buffer).ok()?;
        stream.write_all(b"<handshake/>").ok()?;
        *self.0.lock().unwrap() = Some(stream.try_clone().ok()?);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
            self.1.lock().unwrap().push_str(&text);
        }
        Some(())
    }

    /// Whether there has been a stream.
    pub(crate) fn is_attached(&self) -> bool {
        self.0.lock().unwrap().is_some()
    }

    /// Writes to the newest stream; whether that was there.
    pub(crate) fn send(&self, stanza: &str) -> bool {
        let mut stream = self.0.lock().unwrap();
        let stream = stream.as_mut();
        stream.is_some_and(|stream| stream.write_all(stanza.as_bytes()).is_ok())
    }

    /// Whether this has been written.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.1.lock().unwrap().contains(text)
    }
}

//! The two tasks of a link: one writes what waits, the other reads and hands over. Neither waits for the other.

use crate::frame::{Assembler, Frame, PART_BYTES, Side};
use crate::outbox::Outgoing;
use crate::{Broken, Limits, Stats};
use bytes::Bytes;
use std::future::Future;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status, Streaming};

/// Writes frames until the link ends: what waits is put together, and something is said at least once per keepalive.
///
/// Returns why it ended: the peer does not read, or the stream is gone.
pub(crate) async fn write(
    mut outgoing: Outgoing,
    frames: mpsc::Sender<Frame>,
    limits: Limits,
    stats: Stats,
) -> Broken {
    loop {
        let next = timeout(limits.keepalive, outgoing.next()).await;
        let first = match next {
            Ok(Some(queued)) => queued.message,
            Ok(None) => return Broken::Closed,
            Err(_) => Bytes::new(),
        };
        if let Err(broken) = write_from(first, &mut outgoing, &frames, &limits, &stats).await {
            return broken;
        }
    }
}

/// Writes a message and what waits behind it, up to a full frame. An empty message is no message.
async fn write_from(
    first: Bytes,
    outgoing: &mut Outgoing,
    frames: &mpsc::Sender<Frame>,
    limits: &Limits,
    stats: &Stats,
) -> Result<(), Broken> {
    let mut frame = Frame::default();
    let mut next = Some(first).filter(|message| !message.is_empty());
    while let Some(message) = next.take() {
        if message.len() > PART_BYTES {
            if frame.len() > 0 {
                hand_over(std::mem::take(&mut frame), frames, limits, stats).await?;
            }
            for part in Frame::parts(message) {
                hand_over(part, frames, limits, stats).await?;
            }
        } else {
            frame.add(message);
        }
        if !frame.is_full() {
            next = outgoing.try_next().map(|queued| queued.message);
        }
    }
    hand_over(frame, frames, limits, stats).await
}

async fn hand_over(
    frame: Frame,
    frames: &mpsc::Sender<Frame>,
    limits: &Limits,
    stats: &Stats,
) -> Result<(), Broken> {
    let bytes = frame.len();
    match timeout(limits.stall, frames.send(frame)).await {
        Ok(Ok(())) => {
            stats.went_out(bytes);
            Ok(())
        }
        Ok(Err(_)) => Err(Broken::Lost("the stream is gone".into())),
        Err(_) => Err(Broken::Stalled),
    }
}

/// Where messages go that come in on a link.
pub(crate) trait Deliver: Send {
    /// Which side they come from.
    type From: Side;

    /// Takes one; may wait, and then nothing more is read.
    ///
    /// Errors: the link has to end.
    fn deliver(
        &mut self,
        message: <Self::From as Side>::Message,
    ) -> impl Future<Output = Result<(), Broken>> + Send;
}

/// Reads until the link ends, and hands each message over, in order.
///
/// Returns why it ended.
pub(crate) async fn read<D: Deliver>(
    mut stream: Streaming<Bytes>,
    limits: Limits,
    stats: Stats,
    mut to: D,
) -> Broken {
    let mut assembler = Assembler::<D::From>::new(limits.max_message);
    loop {
        let frame = match next(&mut stream, limits.silence).await {
            Ok(frame) => frame,
            Err(broken) => return broken,
        };
        stats.came_in(frame.len());
        if let Err(broken) = hand_on(&mut assembler, frame, &mut to).await {
            return broken;
        }
    }
}

async fn hand_on<D: Deliver>(
    assembler: &mut Assembler<D::From>,
    frame: Bytes,
    to: &mut D,
) -> Result<(), Broken> {
    for message in assembler.take(frame)? {
        to.deliver(message).await?;
    }
    Ok(())
}

/// The next frame. One that comes after the silence was too long does not count: a kernel goes on delivering what was sent
/// long ago (design §5.9).
pub(crate) async fn next(
    stream: &mut Streaming<Bytes>,
    silence: Duration,
) -> Result<Bytes, Broken> {
    let since = Instant::now();
    let came = timeout(silence, stream.message()).await;
    if since.elapsed() > silence {
        return Err(Broken::Silent);
    }
    match came {
        Ok(Ok(Some(frame))) => Ok(frame),
        Ok(Ok(None)) => Err(Broken::Lost("the peer has ended it".into())),
        Ok(Err(status)) => Err(of_status(&status)),
        Err(_) => Err(Broken::Silent),
    }
}

/// What a status of gRPC means here.
pub(crate) fn of_status(status: &Status) -> Broken {
    match status.code() {
        Code::FailedPrecondition => Broken::Refused(status.message().to_owned()),
        Code::PermissionDenied | Code::Unauthenticated => {
            Broken::Untrusted(status.message().to_owned())
        }
        Code::InvalidArgument => Broken::Malformed(status.message().to_owned()),
        Code::NotFound => Broken::OtherProcess,
        Code::OutOfRange => Broken::TooLarge(crate::codec::MAX_DECODE),
        _ => Broken::Lost(status.message().to_owned()),
    }
}

/// The status that tells a peer why it is not wanted.
pub(crate) fn to_status(broken: &Broken) -> Status {
    let code = match broken {
        Broken::Refused(_) => Code::FailedPrecondition,
        Broken::OtherProcess => Code::NotFound,
        Broken::Untrusted(_) => Code::PermissionDenied,
        Broken::Malformed(_) => Code::InvalidArgument,
        _ => Code::Unavailable,
    };
    let why = match broken {
        Broken::Refused(why) | Broken::Untrusted(why) | Broken::Malformed(why) => why.clone(),
        other => other.to_string(),
    };
    Status::new(code, why)
}

/// Ends when this process was stopped for longer than `silence`: nothing that it has heard before counts any more.
pub(crate) async fn paused(silence: Duration) -> Broken {
    let step = silence / 4;
    loop {
        let since = Instant::now();
        sleep(step).await;
        if since.elapsed() > step + silence {
            return Broken::Paused;
        }
    }
}

/// Runs a link until it breaks: the writer in a task of its own, the reader here.
pub(crate) async fn run<D: Deliver>(
    stream: Streaming<Bytes>,
    to: D,
    outgoing: Outgoing,
    frames: mpsc::Sender<Frame>,
    limits: Limits,
    stats: &Stats,
) -> Broken {
    let writing = tokio::spawn(write(outgoing, frames, limits, stats.clone()));
    let mut writing = AbortOnDropHandle::new(writing);
    stats.opened();
    let broken = tokio::select! {
        broken = paused(limits.silence) => broken,
        broken = read(stream, limits, stats.clone(), to) => broken,
        broken = &mut writing => broken.unwrap_or_else(|error| Broken::Lost(error.to_string())),
    };
    stats.closed();
    broken
}

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// A TCP stream with a lingering close: shutting it down also reads and discards what the peer is still sending.
///
/// The kernel resets a connection that is closed with unread bytes, and the peer then loses a response it has not read.
/// Without this, a client whose request is rejected before its body has arrived often sees a broken connection.
pub(crate) struct GentleStream {
    stream: TcpStream,
    closing: Option<Closing>,
}

/// The state of the lingering close, which ends when the peer closes the connection, pauses, or has sent too much.
struct Closing {
    deadline: Instant,
    pause: Pin<Box<Sleep>>,
    bytes_left: usize,
}

const MAX_TIME: Duration = Duration::from_secs(2);
const MAX_PAUSE: Duration = Duration::from_millis(250);
const MAX_BYTES: usize = 4 * 1024 * 1024;

impl GentleStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, closing: None }
    }
}

impl Closing {
    fn new() -> Self {
        let now = Instant::now();
        Self { deadline: now + MAX_TIME, pause: Box::pin(sleep_until(now + MAX_PAUSE)), bytes_left: MAX_BYTES }
    }

    /// Reads and discards data until the peer closes the connection, an error occurs, or a limit is reached.
    fn poll_drain(&mut self, stream: &mut TcpStream, context: &mut Context<'_>) -> Poll<()> {
        let mut buffer = [0; 8192];
        while self.pause.as_mut().poll(context).is_pending() {
            let mut read = ReadBuf::new(&mut buffer);
            let result = ready!(Pin::new(&mut *stream).poll_read(context, &mut read));
            let length = read.filled().len();
            if result.is_err() || length == 0 || length > self.bytes_left {
                break;
            }
            self.bytes_left -= length;
            self.pause.as_mut().reset(self.deadline.min(Instant::now() + MAX_PAUSE));
        }
        Poll::Ready(())
    }
}

impl AsyncRead for GentleStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for GentleStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, closing } = &mut *self;
        if closing.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
        }
        closing.get_or_insert_with(Closing::new).poll_drain(stream, context).map(Ok)
    }
}

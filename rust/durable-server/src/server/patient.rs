//! A connection whose other end must read what it is sent: whoever does not is given up after a while.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Within this time the other end has read something of what waits for it.
const TO_READ: Duration = Duration::from_secs(30);

/// See the file's first line.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    /// When it is given up, while something waits to be sent.
    limit: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Patient<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, limit: None }
    }

    fn within_the_limit<T>(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.limit = None;
            return sent;
        }
        let limit =
            self.limit.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + TO_READ)));
        ready!(limit.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within_the_limit(context, sent)
    }

    /// Of a socket it says nothing: what is written is on its way.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.within_the_limit(context, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing, ever, or all of it.
    struct Far {
        reads: bool,
    }

    impl AsyncWrite for Far {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.reads { Poll::Ready(Ok(bytes.len())) } else { Poll::Pending }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn written(to: &mut Patient<Far>) -> io::Result<usize> {
        std::future::poll_fn(|context| Pin::new(&mut *to).poll_write(context, b"all")).await
    }

    #[tokio::test]
    async fn who_reads_nothing_is_given_up_and_who_reads_again_is_not() {
        let mut far = Patient::new(Far { reads: false });
        far.limit = Some(Box::pin(sleep_until(Instant::now())));
        assert_eq!(written(&mut far).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        far.stream.reads = true;
        assert_eq!(written(&mut far).await.unwrap(), 3);
        assert!(far.limit.is_none(), "and has all of the time again");
    }
}

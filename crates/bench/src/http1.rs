//! The little of HTTP/1.1 that a load generator and a fixed responder need: heads, lengths, kept-alive connections.
//!
//! Written by hand because generator and stand-in run on the same cores as what they measure: a general client
//! costs two to four times as much per request. Deliberately without chunked bodies, upgrades and pipelining; a peer
//! that uses them gets an error, never a wrong figure.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A head that is longer than this is not one of ours.
const HEAD_LIMIT_BYTES: usize = 16 * 1024;

/// A body that is longer than this is not one of ours: the largest is a list of 100 orders.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// Room for a whole answer, so that one read usually takes it all.
const ROOM_BYTES: usize = 16 * 1024;

/// Where the parts of a message lie in the bytes heard so far.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// Length of the first line, without its line end.
    pub first_line_bytes: usize,
    /// Where the body begins.
    pub body_start: usize,
    /// `Content-Length`, when given.
    pub body_bytes: Option<usize>,
    /// Whether the peer says that it closes the connection after this message.
    pub closes: bool,
}

/// Reads the head of a message, or `None` when more bytes are needed.
///
/// # Errors
/// When the head is too long, has an unreadable or too large length, or announces a chunked body.
pub fn read_head(heard: &[u8]) -> io::Result<Option<Head>> {
    let mut head = Head {
        first_line_bytes: 0,
        body_start: 0,
        body_bytes: None,
        closes: false,
    };
    while let Some(line_bytes) = heard[head.body_start..].iter().position(|byte| *byte == b'\n') {
        let line = heard[head.body_start..head.body_start + line_bytes].trim_ascii_end();
        if head.body_start == 0 {
            head.first_line_bytes = line.len();
        } else if let Some(value) = value_of(line, b"content-length") {
            head.body_bytes = Some(length(value)?);
        } else if let Some(value) = value_of(line, b"connection") {
            head.closes = value.eq_ignore_ascii_case(b"close");
        } else if value_of(line, b"transfer-encoding").is_some() {
            return Err(malformed("a body without Content-Length"));
        }
        head.body_start += line_bytes + 1;
        if line.is_empty() {
            return Ok(Some(head));
        }
    }
    if heard.len() > HEAD_LIMIT_BYTES {
        Err(malformed("a head of more than 16 KB"))
    } else {
        Ok(None)
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn length(digits: &[u8]) -> io::Result<usize> {
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    match length {
        Some(length) if length <= BODY_LIMIT_BYTES => Ok(length),
        Some(_) => Err(malformed("a body of more than 1 MB")),
        None => Err(malformed("a Content-Length that is no number")),
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the peer sent {what}"))
}

/// The address behind a base such as `http://127.0.0.1:4000`.
///
/// # Errors
/// When it is not a plain `http://host:port`.
pub fn address_of(base_url: &str) -> io::Result<SocketAddr> {
    let unusable = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{base_url}` is not an address such as http://127.0.0.1:4000"),
        )
    };
    let host = base_url
        .strip_prefix("http://")
        .ok_or_else(unusable)?
        .trim_end_matches('/');
    host.to_socket_addrs()
        .map_err(|_| unusable())?
        .next()
        .ok_or_else(unusable)
}

/// What came back for one request.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body, as it came.
    pub body: &'a [u8],
    /// Whether the connection is of no further use.
    pub closes: bool,
}

/// A kept-alive client connection that has one request out at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Connection {
    /// Opens a connection.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            heard: Vec::with_capacity(ROOM_BYTES),
        })
    }

    /// Sends one whole request and waits for its whole answer.
    ///
    /// # Errors
    /// When the connection breaks or the answer is not one we read; the connection is then of no further use.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.heard.clear();
        self.stream.write_all(request).await?;
        let (status, head) = loop {
            if hear_more(&mut self.stream, &mut self.heard).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(head) = read_head(&self.heard)? {
                break (status_of(&self.heard[..head.first_line_bytes])?, head);
            }
        };
        let body_bytes = match (head.body_bytes, status) {
            (Some(bytes), _) => bytes,
            (None, 204 | 304) => 0,
            (None, _) => return Err(malformed("a body without Content-Length")),
        };
        let end = head.body_start + body_bytes;
        while self.heard.len() < end {
            if hear_more(&mut self.stream, &mut self.heard).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if self.heard.len() > end {
            return Err(malformed("more than one answer to one request"));
        }
        Ok(Answer {
            status,
            body: &self.heard[head.body_start..end],
            closes: head.closes,
        })
    }
}

/// Reads whatever is there, in one call.
pub(crate) async fn hear_more(stream: &mut TcpStream, heard: &mut Vec<u8>) -> io::Result<usize> {
    heard.reserve(ROOM_BYTES);
    stream.read_buf(heard).await
}

fn status_of(first_line: &[u8]) -> io::Result<u16> {
    first_line
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| malformed("something that is not an HTTP/1.1 answer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn a_head_is_read_once_it_is_whole_and_not_before() {
        let message = b"HTTP/1.1 201 Created\r\nCONTENT-length:  12\r\nConnection: close\r\n\r\nhello";
        let whole = message.len() - b"hello".len();
        for cut in 0..whole {
            assert_eq!(read_head(&message[..cut]).unwrap(), None, "after {cut} bytes");
        }
        let head = read_head(message).unwrap().unwrap();
        assert_eq!(
            head,
            Head {
                first_line_bytes: 20,
                body_start: whole,
                body_bytes: Some(12),
                closes: true
            }
        );
        assert_eq!(status_of(&message[..head.first_line_bytes]).unwrap(), 201);
    }

    #[test]
    fn what_we_do_not_read_is_an_error_and_not_a_guess() {
        for unread in [
            &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: twelve\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
        ] {
            assert!(read_head(unread).is_err(), "{}", String::from_utf8_lossy(unread));
        }
        assert!(read_head(&vec![b'a'; HEAD_LIMIT_BYTES + 1]).is_err());
    }

    #[test]
    fn an_address_that_cannot_be_one_is_named() {
        assert_eq!(
            address_of("http://127.0.0.1:4000/").unwrap(),
            "127.0.0.1:4000".parse().unwrap()
        );
        let refused = address_of("https://example.com").unwrap_err().to_string();
        assert!(refused.contains("`https://example.com`"), "{refused}");
    }

    #[tokio::test]
    async fn an_answer_in_single_bytes_is_still_one_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut request = [0; 64];
            let _ = stream.read(&mut request).await.unwrap();
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" {
                stream.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut connection = Connection::open(address).await.unwrap();
        let answer = connection.exchange(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!((answer.status, answer.body), (200, &b"ok"[..]));
        peer.await.unwrap();
        assert!(
            connection.exchange(b"GET / HTTP/1.1\r\n\r\n").await.is_err(),
            "the peer has hung up"
        );
    }
}

//! A minimal HTTP/1.1 client, for tests that observe the connection itself.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::test_app::token;

pub(crate) struct Connection(BufReader<TcpStream>);

pub(crate) struct RawResponse {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl RawResponse {
    /// Whether the server keeps the connection open.
    pub(crate) fn keeps_alive(&self) -> bool {
        !self.head.to_ascii_lowercase().contains("connection: close")
    }
}

impl Connection {
    pub(crate) fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn send(&mut self, request: &str) -> io::Result<RawResponse> {
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let read = head.len();
            if self.0.read_line(&mut head)? == 0 {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed without a response"));
            }
            if let Some(text) = head[read..].to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(RawResponse { status, head, body })
    }
}

/// A request of the user `ada`, with a valid token.
pub(crate) fn request(method: &str, path: &str, body: &str) -> String {
    let token = token("ada");
    format!(
        "{method} {path} HTTP/1.1\r\nHost: tasks\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

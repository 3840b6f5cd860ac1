//! A JWKS endpoint on loopback.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// The path at which Better Auth publishes its keys.
const PATH: &str = "/api/auth/jwks";

/// Serves a key set from a background thread until it is dropped.
pub(super) struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    jwks: Mutex<String>,
    fetches: AtomicUsize,
    stopped: AtomicBool,
}

impl Endpoint {
    /// # Panics
    ///
    /// There is no free port.
    pub(super) fn start(jwks: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("the port's address");
        let shared = Arc::new(Shared { jwks: Mutex::new(jwks), ..Shared::default() });
        let serving = shared.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                if serving.stopped.load(Ordering::Relaxed) {
                    break;
                }
                // An error of one connection does not affect the others.
                let _ = connection.and_then(|connection| serving.respond(connection));
            }
        });
        Self { address, shared }
    }

    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn publish(&self, jwks: String) {
        *self.shared.jwks.lock().unwrap_or_else(PoisonError::into_inner) = jwks;
    }

    pub(super) fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn respond(&self, mut connection: TcpStream) -> std::io::Result<()> {
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut lines = BufReader::new(&connection).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        for line in lines {
            if line?.is_empty() {
                break;
            }
        }
        let (status, body) = match request.split(' ').nth(1) {
            Some(PATH) => {
                self.fetches.fetch_add(1, Ordering::Relaxed);
                ("200 OK", self.jwks.lock().unwrap_or_else(PoisonError::into_inner).clone())
            }
            _ => ("404 Not Found", String::new()),
        };
        write!(
            connection,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )?;
        connection.shutdown(Shutdown::Write)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread, which waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

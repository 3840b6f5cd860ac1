//! A network cable between the server and PostgreSQL, which can be cut.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex},
    thread,
};

use url::Url;

pub(crate) struct Cable {
    url: Url,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_cut: Mutex<bool>,
    mended: Condvar,
}

impl Cable {
    /// A cable to the PostgreSQL of this URL.
    pub(crate) fn to(database_url: &str) -> Self {
        Self::listen(database_url, 0)
    }

    /// The same with this port.
    pub(crate) fn listen(database_url: &str, port: u16) -> Self {
        let target: Url = database_url.parse().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let mut url = target.clone();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        url.set_query(Some("sslmode=disable"));
        let state = Arc::<State>::default();
        let shared = state.clone();
        // It ends with the process: a test has no need to wait for it.
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { continue };
                let _ = shared.forward(&client, &target);
            }
        });
        Self { url, state }
    }

    /// The database at the other end.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// From now on nothing passes, and no end is told. What is sent meanwhile arrives once the cable is mended, as with TCP.
    pub(crate) fn cut(&self) {
        *self.state.is_cut.lock().unwrap() = true;
    }

    pub(crate) fn mend(&self) {
        *self.state.is_cut.lock().unwrap() = false;
        self.state.mended.notify_all();
    }
}

impl State {
    fn wait_until_mended(&self) {
        drop(self.mended.wait_while(self.is_cut.lock().unwrap(), |is_cut| *is_cut).unwrap());
    }

    fn forward(self: &Arc<Self>, client: &TcpStream, target: &Url) -> io::Result<()> {
        let socket = target.query_pairs().find(|(name, _)| name == "host");
        let port = target.port().unwrap_or(5432);
        match socket {
            Some((_, directory)) => {
                let server = UnixStream::connect(format!("{directory}/.s.PGSQL.{port}"))?;
                let (from, to) = (server.try_clone()?, server.try_clone()?);
                self.join(client, from, to, move || server.shutdown(Shutdown::Both));
            }
            None => {
                let server = TcpStream::connect((target.host_str().unwrap(), port))?;
                let (from, to) = (server.try_clone()?, server.try_clone()?);
                self.join(client, from, to, move || server.shutdown(Shutdown::Both));
            }
        }
        Ok(())
    }

    fn join(
        self: &Arc<Self>,
        client: &TcpStream,
        from_server: impl Read + Send + 'static,
        to_server: impl Write + Send + 'static,
        close_server: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) {
        let clone = || client.try_clone().unwrap();
        let (from_client, to_client, client, state) = (clone(), clone(), clone(), self.clone());
        thread::spawn(move || {
            state.pass(from_client, to_server);
            let _ = close_server();
        });
        let state = self.clone();
        thread::spawn(move || {
            state.pass(from_server, to_client);
            let _ = client.shutdown(Shutdown::Both);
        });
    }

    fn pass(&self, mut from: impl Read, mut to: impl Write) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer);
            self.wait_until_mended();
            match read {
                Ok(length @ 1..) if to.write_all(&buffer[..length]).is_ok() => {}
                _ => return,
            }
        }
    }
}

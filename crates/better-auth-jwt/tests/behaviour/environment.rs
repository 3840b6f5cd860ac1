//! The effect of environment variables on fetching keys.
//!
//! A process cannot safely change its environment while other threads run, so each test runs itself again in a child
//! process.

use std::{
    env,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use better_auth_jwt::{Verifier, keys::RemoteKeySet, test_util::Issuer};

/// The URL of the keys that the child process fetches. The variable is set only in the child.
const URL: &str = "TEST_JWKS_URL";

/// A certificate that no other certificate is signed with.
const ROOT: &str = "-----BEGIN CERTIFICATE-----
MIIBgDCCASWgAwIBAgIUK2iPmTfp+Gs3Vr0WTRixFjasHjwwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJVGVzdCByb290MCAXDTI2MTEyNzEyNTIzMFoYDzIxMjYxMTAz
MTI1MjMwWjAUMRIwEAYDVQQDDAlUZXN0IHJvb3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAStx8pwfooPwJUz5iZHEQcMuS8amJPq45PkLY0Nqnp0EGYzthaJuL62
iTIF0SKFFV8RkCqk2fvOfJ4foniMHcW5o1MwUTAdBgNVHQ4EFgQUbgUdwcOIq5F4
BP7+QcTQgZok8UEwHwYDVR0jBBgwFoAUbgUdwcOIq5F4BP7+QcTQgZok8UEwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAzOVsx5H5xRxTu2h6RKuX
d3YZbTQNFl9rPcm4YehCaiYCIQDZ3Fx2DKzqHh772RM+avlEH8UEBkvkYp9MYhUD
/mA2qQ==
-----END CERTIFICATE-----";

/// A server that gives every request the same response, and counts them.
struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn start(body: String) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), body)
    }

    fn listen(listener: TcpListener, body: String) -> Self {
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, body) = (count.clone(), body.clone());
                thread::spawn(move || _ = respond(stream, &count, &body));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn respond(mut stream: TcpStream, count: &AtomicUsize, body: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    count.fetch_add(1, Ordering::SeqCst);
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// Runs one of this file's tests in a process with this environment, which contains [`URL`].
fn child(test: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([&format!("environment::{test}"), "--exact", "--nocapture"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    // Set for CGI programs only, where reqwest ignores HTTP_PROXY.
    command.env_remove("REQUEST_METHOD").envs(environment.iter().copied()).output().unwrap()
}

#[track_caller]
fn assert_succeeds(output: &Output) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

#[tokio::test]
async fn keys_over_plain_http_never_come_from_a_proxy() {
    if let Ok(url) = env::var(URL) {
        let verifier = verifier_with_keys_from(&url);
        assert!(verifier.verify(&env::var("TEST_GENUINE").unwrap()).await.is_ok(), "the issuer's token is valid");
        assert!(verifier.verify(&env::var("TEST_FORGED").unwrap()).await.is_err(), "the proxy's token is not");
        return;
    }
    let (issuer, forger) = (Issuer::new(), Issuer::new());
    for host in ["127.0.0.1", "localhost", "keys.localhost"] {
        let endpoint = Server::start(issuer.jwks());
        let proxy = Server::start(forger.jwks());
        let proxy_url = format!("http://{}", proxy.address);
        let url = format!("http://{host}:{}/api/auth/jwks", endpoint.address.port());
        let (genuine, forged) = (issuer.token("ada"), forger.token("ada"));
        let mut environment: Vec<_> =
            ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
                .map(|name| (name, &*proxy_url))
                .to_vec();
        environment.extend([(URL, &*url), ("TEST_GENUINE", &*genuine), ("TEST_FORGED", &*forged)]);
        let output = child("keys_over_plain_http_never_come_from_a_proxy", &environment);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(proxy.requests(), 0, "{host}: the proxy got a request: {stdout}");
        assert!(endpoint.requests() > 0, "{host}: {stdout}");
        assert_succeeds(&output);
    }
}

#[tokio::test]
async fn plain_http_needs_no_root_certificates_and_the_error_for_https_names_them() {
    if let Ok(url) = env::var(URL) {
        let verifier = verifier_with_keys_from(&url);
        assert!(verifier.verify(&env::var("TEST_GENUINE").unwrap()).await.is_ok());
        let error = RemoteKeySet::new("https://app.example.com/api/auth/jwks").err().unwrap().to_string();
        assert!(error.contains("root certificates") && error.contains("SSL_CERT_FILE"), "{error}");
        // Certificates from the configuration are enough.
        assert!(RemoteKeySet::builder("https://app.example.com/jwks").root_certificates(ROOT).build().is_ok());
        return;
    }
    let issuer = Issuer::new();
    let endpoint = Server::start(issuer.jwks());
    let (url, token) = (format!("http://{}/api/auth/jwks", endpoint.address), issuer.token("ada"));
    let environment = [
        ("SSL_CERT_FILE", "/nonexistent/file"),
        ("SSL_CERT_DIR", "/nonexistent/directory"),
        (URL, &*url),
        ("TEST_GENUINE", &*token),
    ];
    let output = child("plain_http_needs_no_root_certificates_and_the_error_for_https_names_them", &environment);
    assert_succeeds(&output);
    assert!(endpoint.requests() > 0, "the child fetched no keys");
}

fn verifier_with_keys_from(url: &str) -> Verifier {
    let keys = RemoteKeySet::new(url).unwrap();
    Verifier::builder(keys).insecure_any_issuer().insecure_any_audience().unwrap()
}

//! What the process's environment decides about fetching keys, and what it must not.
//!
//! The environment cannot be changed safely inside a process, so each test runs this test binary again as a child.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use better_auth_jwt::{Verifier, keys::RemoteKeySet, test_util::Issuer};

/// Tells a child what to fetch.
const URL: &str = "TEST_JWKS_URL";

/// A certificate that has signed nothing.
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

fn respond(mut stream: std::net::TcpStream, count: &AtomicUsize, body: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    count.fetch_add(1, Ordering::SeqCst);
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// Runs one of this file's `#[ignore]`d tests in a process with this environment.
fn child(test: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("environment::{test}"), "--exact", "--ignored", "--nocapture"]);
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

#[test]
fn keys_over_plain_http_never_come_from_a_proxy() {
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
        let output = child("child_accepts_the_genuine_token_and_rejects_the_forged_one", &environment);
        assert_eq!(proxy.requests(), 0, "{host}: the proxy was asked: {}", String::from_utf8_lossy(&output.stdout));
        assert!(endpoint.requests() > 0, "{host}");
        assert_succeeds(&output);
    }
}

#[tokio::test]
#[ignore = "run by another test, with an environment of its own"]
async fn child_accepts_the_genuine_token_and_rejects_the_forged_one() {
    let keys = RemoteKeySet::new(std::env::var(URL).unwrap()).unwrap();
    let verifier = Verifier::builder(keys).insecure_any_issuer().insecure_any_audience().unwrap();
    assert!(verifier.verify(&std::env::var("TEST_GENUINE").unwrap()).await.is_ok(), "the issuer's token is valid");
    assert!(verifier.verify(&std::env::var("TEST_FORGED").unwrap()).await.is_err(), "the proxy's token is not");
}

#[test]
fn plain_http_needs_no_root_certificates_and_https_says_that_it_does() {
    let issuer = Issuer::new();
    let endpoint = Server::start(issuer.jwks());
    let url = format!("http://{}/api/auth/jwks", endpoint.address);
    let token = issuer.token("ada");
    let nowhere = [("SSL_CERT_FILE", "/nonexistent/file"), ("SSL_CERT_DIR", "/nonexistent/directory")];
    let output =
        child("child_without_root_certificates", &[nowhere[0], nowhere[1], (URL, &*url), ("TEST_GENUINE", &*token)]);
    assert_succeeds(&output);
}

#[tokio::test]
#[ignore = "run by another test, with an environment of its own"]
async fn child_without_root_certificates() {
    let keys = RemoteKeySet::new(std::env::var(URL).unwrap()).unwrap();
    let verifier = Verifier::builder(keys).insecure_any_issuer().insecure_any_audience().unwrap();
    assert!(verifier.verify(&std::env::var("TEST_GENUINE").unwrap()).await.is_ok());
    let error = RemoteKeySet::new("https://app.example.com/api/auth/jwks").err().unwrap().to_string();
    assert!(error.contains("root certificates") && error.contains("SSL_CERT_FILE"), "{error}");
    // Your own are enough.
    assert!(RemoteKeySet::builder("https://app.example.com/jwks").root_certificates(ROOT).build().is_ok());
}

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::Value;

/// A server that hangs fails the test.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client for servers on loopback, which ignores the proxies of the environment.
pub(crate) fn client() -> Client {
    Client::builder().no_proxy().build().expect("an HTTP client")
}

/// A complete response of a server.
#[derive(Debug)]
pub struct ApiResponse {
    /// The status line's code.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body; [`Value::Null`] if it is empty or not JSON.
    pub body: Value,
}

impl ApiResponse {
    /// Sends the request and reads the whole response.
    ///
    /// # Panics
    /// If there is no response.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.timeout(TIMEOUT).send().await.expect("the server responds");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("the body arrives");
        Self { status, headers, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    /// The header of that name, or nothing when there is none.
    ///
    /// # Panics
    /// If there are several, or its value is not ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} is there more than once in {self:?}");
        Some(value.to_str().expect("an ASCII header"))
    }

    /// The string in the body at this JSON pointer.
    ///
    /// # Panics
    /// If there is none.
    pub fn text(&self, pointer: &str) -> &str {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no string at {pointer:?} in {self:?}"))
    }
}

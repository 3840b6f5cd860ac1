use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode, header::HeaderMap, redirect::Policy};
use serde_json::Value;

/// If a server hangs, the test fails after this time.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client for servers on loopback, which ignores proxies in the environment and follows no redirects.
pub(crate) fn client() -> Client {
    Client::builder().no_proxy().redirect(Policy::none()).build().expect("an HTTP client")
}

/// A response with its whole body.
#[derive(Debug)]
pub struct ApiResponse {
    /// The status.
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

    /// The value of a header, or `None` if it is absent.
    ///
    /// # Panics
    /// If there are several values, or the value is not ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} is not unique in {self:?}");
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

//! Parsers for the values of settings. The name of the setting precedes each error, and no error contains a secret.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use axum::http::{HeaderName, HeaderValue};
use better_auth_jwt::keys::Algorithm;
use url::Url;

use crate::{log::LogFormat, rate_limit::RateLimitConfig};

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be an IP address and a port, for instance 127.0.0.1:8000 or 0.0.0.0:8000".into())
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false".into()),
    }
}

/// A time such as `15m`, `12h` or `7d`; never zero.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| "must be a time such as 500ms, 15m, 12h or 7d".into())
}

/// A time, which may be zero.
pub(super) fn duration_or_zero(text: &str) -> Result<Duration, String> {
    if text == "0" {
        Ok(Duration::ZERO)
    } else {
        humantime::parse_duration(text).map_err(|_| "must be a time such as 2s or 500ms, or 0".into())
    }
}

/// A time that the runtime's timers and PostgreSQL's settings can represent.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let range = Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);
    if range.contains(&time) { Ok(time) } else { Err("must be a time from 1ms to 24h".into()) }
}

/// An integer of at least `min`.
pub(super) fn count(min: u32) -> impl Fn(&str) -> Result<u32, String> {
    move |text| {
        let count = text.parse().ok().filter(|count| *count >= min);
        count.ok_or_else(|| format!("must be a whole number of at least {min}"))
    }
}

/// Names without quotes, spaces or control characters, separated by commas.
pub(super) fn names(text: &str) -> Result<Vec<String>, String> {
    let is_name = |text: &String| !text.contains(|c: char| c.is_control() || c.is_whitespace() || "\"'`".contains(c));
    let names = list(text);
    if names.iter().all(is_name) {
        Ok(names)
    } else {
        Err("must be names without quotes, spaces and line ends, separated by commas".into())
    }
}

pub(super) fn origins(text: &str) -> Result<Vec<HeaderValue>, String> {
    list(text).iter().map(|text| origin(text)).collect()
}

/// An origin such as `https://app.example.com`, or `tauri://localhost` and `capacitor://localhost` of app shells.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let error = || {
        // An entry with an @ may contain a password.
        let entry = if text.contains('@') { "an entry with an @".into() } else { format!("{text:?}") };
        format!(
            "contains {entry}, which is not an origin such as https://app.example.com (no path, no slash at the end, no *)"
        )
    };
    let url = Url::parse(text).map_err(|_| error())?;
    let is_origin = match url.scheme() {
        "http" | "https" => url.origin().ascii_serialization() == text,
        "file" | "data" | "blob" | "javascript" => false,
        // The origins of other schemes are opaque to `Url`.
        scheme => url.host_str().is_some_and(|host| {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            text == format!("{scheme}://{host}{port}")
        }),
    };
    if !is_origin || text.contains('*') {
        return Err(error());
    }
    HeaderValue::from_str(text).map_err(|_| error())
}

pub(super) fn header_names(text: &str) -> Result<Vec<HeaderName>, String> {
    let name =
        |text: &String| text.parse().map_err(|_| format!("contains {text:?}, which is not the name of a header"));
    list(text).iter().map(name).collect()
}

pub(super) fn rate_limit(text: &str) -> Result<Option<RateLimitConfig>, String> {
    if text == "off" {
        return Ok(None);
    }
    let limit = text.split_once('/').and_then(|(requests, window)| {
        let requests: NonZeroU32 = requests.trim().parse().ok()?;
        let window = timeout(window.trim()).ok()?;
        RateLimitConfig::new(requests, window).ok()
    });
    limit.map(Some).ok_or_else(|| "must be off, or a count and a time of up to 24h such as 100/10s".into())
}

pub(super) fn max_staleness(text: &str) -> Result<Option<Duration>, String> {
    if text == "forever" {
        return Ok(None);
    }
    // Revocations are read every two seconds.
    let time = duration(text).ok().filter(|time| *time >= Duration::from_secs(5));
    time.map(Some).ok_or_else(|| "must be a time of at least 5s, such as 60s or 10m, or forever".into())
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json".into()),
    }
}

pub(super) fn rsa_algorithm(text: &str) -> Result<Algorithm, String> {
    let is_rsa = text.starts_with("RS") || text.starts_with("PS");
    text.parse().ok().filter(|_| is_rsa).ok_or_else(|| "must be RS256, RS384, RS512, PS256, PS384 or PS512".into())
}

/// The entries of a list; empty ones are ignored.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_staleness_is_a_time_or_forever() {
        assert_eq!(max_staleness("90s"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(max_staleness("forever"), Ok(None));
        assert!(max_staleness("4s").is_err() && max_staleness("never").is_err());
    }

    #[test]
    fn a_rate_limit_is_a_count_and_a_time() {
        assert!(rate_limit("100/10s").unwrap().is_some());
        assert_eq!(rate_limit("off"), Ok(None));
        for wrong in ["100", "0/10s", "100/0s", "100/10", "-1/10s", "/", "ten/10s", "4294967295/1ms", "1/300years"] {
            assert!(rate_limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_have_no_path_and_no_wildcard() {
        for right in [
            "https://a.example, http://localhost:3000",
            "tauri://localhost",
            "capacitor://localhost",
            "chrome-extension://mfgchpcgacmbhppnjpbmpjcmhnefkjhh",
        ] {
            assert!(origins(right).is_ok(), "{right}");
        }
        for wrong in [
            "*",
            "null",
            "https://a.example/",
            "a.example",
            "https://a.example:443",
            "https://A.example",
            "file:///x",
            "https://*.example",
            "tauri://localhost/",
            "data:x",
            "mailto:a",
        ] {
            assert!(origins(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_have_no_quotes_or_spaces() {
        assert_eq!(names("https://a.example, b").unwrap(), ["https://a.example", "b"]);
        for wrong in ["\"a\"", "'a'", "a b", "a\nb"] {
            assert!(names(wrong).is_err(), "{wrong}");
        }
    }
}

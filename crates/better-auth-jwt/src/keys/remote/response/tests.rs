use super::*;

type Line = (HeaderName, &'static str);

fn headers(lines: &[Line]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
}

const DATE_LINE: Line = (DATE, "Sat, 21 Nov 2026 02:18:16 GMT");

#[test]
fn the_freshness_lifetime_follows_rfc_9111() {
    let rows: &[(&[Line], Option<u64>)] = &[
        (&[], None),
        (&[(CACHE_CONTROL, "public, max-age=300")], Some(300)),
        (&[(CACHE_CONTROL, "Max-Age=\"60\", must-revalidate")], Some(60)),
        (&[(CACHE_CONTROL, "public"), (CACHE_CONTROL, "max-age=300")], Some(300)),
        (&[(CACHE_CONTROL, "max-age=300, max-age=5")], Some(300)),
        (&[(CACHE_CONTROL, "max-age=300"), (CACHE_CONTROL, "no-cache")], Some(0)),
        (&[(CACHE_CONTROL, "no-cache=\"set-cookie\", max-age=300")], Some(300)),
        (&[(CACHE_CONTROL, "no-store")], Some(0)),
        (&[(CACHE_CONTROL, "max-age=1000000000000")], Some(1_000_000_000_000)),
        (&[(CACHE_CONTROL, "max-age=99999999999999999999999")], Some(1 << 31)),
        // Invalid: stale.
        (&[(CACHE_CONTROL, "max-age")], Some(0)),
        (&[(CACHE_CONTROL, "max-age=")], Some(0)),
        (&[(CACHE_CONTROL, "max-age=-1")], Some(0)),
        (&[(CACHE_CONTROL, "max-age=soon")], Some(0)),
        // For shared caches only.
        (&[(CACHE_CONTROL, "s-maxage=5")], None),
        (&[(CACHE_CONTROL, "s-maxage=5, max-age=300")], Some(300)),
        (&[DATE_LINE, (EXPIRES, "Sat, 21 Nov 2026 02:28:16 GMT")], Some(600)),
        (&[DATE_LINE, (EXPIRES, "Sat, 21 Nov 2026 02:00:00 GMT")], Some(0)),
        (&[DATE_LINE, (EXPIRES, "0")], Some(0)),
        (&[DATE_LINE, (EXPIRES, "Sat, 21 Nov 2026 02:28:16 GMT"), (CACHE_CONTROL, "max-age=5")], Some(5)),
    ];
    for (lines, seconds) in rows {
        assert_eq!(max_age(&headers(lines)), seconds.map(Duration::from_secs), "{lines:?}");
    }
}

#[test]
fn age_counts_unless_it_is_invalid() {
    for (value, seconds) in [("30", 30), ("30, 90", 30), ("-1", 0), ("x", 0), ("", 0)] {
        assert_eq!(age(&headers(&[(AGE, value)])), Duration::from_secs(seconds), "{value}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date_by_the_issuers_clock() {
    for (value, seconds) in [
        ("7", Some(7)),
        ("Sat, 21 Nov 2026 02:18:26 GMT", Some(10)),
        ("Sat, 21 Nov 2026 02:00:00 GMT", Some(0)),
        ("-7", None),
        ("soon", None),
    ] {
        let lines = headers(&[DATE_LINE, (RETRY_AFTER, value)]);
        assert_eq!(retry_after(&lines), seconds.map(Duration::from_secs), "{value}");
    }
}

#[test]
fn only_200_has_a_document_and_only_if_it_is_not_encoded() {
    let read = |status: u16, lines: &[Line]| {
        JwksResponse::from_parts(StatusCode::from_u16(status).unwrap(), &headers(lines), "{}")
    };
    let response = read(200, &[(ETAG, "\"v1\""), (AGE, "5"), (CACHE_CONTROL, "max-age=9")]).unwrap();
    assert_eq!((response.body.as_deref(), response.etag.as_deref()), (Some(&b"{}"[..]), Some("\"v1\"")));
    assert_eq!((response.max_age, response.age), (Some(Duration::from_secs(9)), Duration::from_secs(5)));
    assert!(read(200, &[(CONTENT_ENCODING, "Identity")]).is_ok());
    assert_eq!(read(200, &[(CONTENT_ENCODING, "gzip")]).unwrap_err(), FetchError::ContentEncoding);
    assert!(read(304, &[]).unwrap().body.is_none());
    assert_eq!(read(302, &[]).unwrap_err(), FetchError::Redirect);
    for status in [201, 204, 206, 406, 500] {
        assert_eq!(read(status, &[]).unwrap_err(), FetchError::Status { status, retry_after: None });
    }
    let retry_after = Some(Duration::from_secs(3));
    assert_eq!(read(429, &[(RETRY_AFTER, "3")]).unwrap_err(), FetchError::Status { status: 429, retry_after });
}

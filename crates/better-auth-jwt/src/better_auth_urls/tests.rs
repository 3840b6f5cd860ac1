use super::*;

#[test]
fn origin_and_paths_are_derived_as_better_auth_does() {
    for (url, origin, jwks) in [
        ("https://a.example", "https://a.example", "https://a.example/api/auth/jwks"),
        ("https://a.example/", "https://a.example", "https://a.example/api/auth/jwks"),
        ("https://a.example//", "https://a.example", "https://a.example/api/auth/jwks"),
        ("https://a.example/api/auth/", "https://a.example", "https://a.example/api/auth/jwks"),
        ("http://localhost:3000/custom/auth", "http://localhost:3000", "http://localhost:3000/custom/auth/jwks"),
        ("https://A.Example:443", "https://a.example", "https://a.example/api/auth/jwks"),
        ("HTTP://a.example:80/", "http://a.example", "http://a.example/api/auth/jwks"),
        ("https://a.example:80", "https://a.example:80", "https://a.example:80/api/auth/jwks"),
        (" https://a.example ", "https://a.example", "https://a.example/api/auth/jwks"),
        ("http://[::1]:3000", "http://[::1]:3000", "http://[::1]:3000/api/auth/jwks"),
    ] {
        let server = BetterAuthUrls::new(url).unwrap();
        assert_eq!((server.origin(), &*server.jwks_url()), (origin, jwks), "{url}");
    }
}

#[test]
fn invalid_base_urls_are_rejected() {
    for url in [
        "",
        "app.example.com",
        "/api",
        "ftp://a.example",
        "https://",
        "https://u:p@a.example",
        "https://a.example?x=1",
        "https://a.example/#x",
        "data:text/plain,x",
        "https://a.example:port",
        "https://a.example:65536",
        "https://a.example/x/../auth",
        "https://a b.example",
        "https://münchen.example",
        "https://:3000",
        "https://a.example\\@b.example",
        "https://a.example,https://b.example",
        "https://a.example/api/auth/jwks",
        "https://a.example/.well-known/openid-configuration",
        "https://a.example/api/auth/.well-known/openid-configuration",
    ] {
        assert!(BetterAuthUrls::new(url).is_err(), "{url}");
    }
}

use super::*;

fn header(json: &str) -> Result<Header, ErrorKind> {
    Header::parse(json).map_err(|error| error.kind())
}

#[test]
fn the_header_of_a_better_auth_token_is_read() {
    let header = header(r#"{"alg":"EdDSA","kid":"e89bnvnZ1WwbYyWzLeteLs9wyKorQ2vA"}"#).unwrap();
    assert_eq!(header.algorithm(), Algorithm::EdDSA);
    assert_eq!(header.key_id(), Some("e89bnvnZ1WwbYyWzLeteLs9wyKorQ2vA"));
    assert_eq!(header.token_type(), TokenType::Untyped);
}

#[test]
fn unsupported_headers_are_rejected() {
    use ErrorKind::*;
    for (json, kind) in [
        ("{}", UnsupportedAlgorithm),
        (r#"{"alg":"none"}"#, UnsupportedAlgorithm),
        (r#"{"alg":"hs256"}"#, UnsupportedAlgorithm),
        (r#"{"alg":null}"#, Malformed),
        (r#"{"alg":1}"#, Malformed),
        (r#"{"alg":["HS256"]}"#, Malformed),
        (r#"{"alg":"HS256","alg":"none"}"#, Malformed),
        (r#"{"alg":"HS256","\u0061lg":"HS256"}"#, Malformed),
        (r#"{"alg":"HS256","kid":1}"#, Malformed),
        (r#"{"alg":"HS256","kid":null}"#, Malformed),
        (r#"{"alg":"HS256","typ":null}"#, Malformed),
        (r#"{"alg":"HS256","cty":"JWT"}"#, InvalidType),
        (r#"{"alg":"HS256","cty":"application/jwt"}"#, InvalidType),
        (r#"{"alg":"HS256","crit":[]}"#, UnsupportedCriticalHeader),
        (r#"{"alg":"HS256","crit":null}"#, UnsupportedCriticalHeader),
        (r#"{"alg":"HS256","crit":["exp"]}"#, UnsupportedCriticalHeader),
        (r#"{"alg":"HS256","b64":true}"#, UnsupportedCriticalHeader),
        (r#"["alg"]"#, Malformed),
    ] {
        assert_eq!(header(json), Err(kind), "{json}");
    }
    assert!(header(r#"{"alg":"HS256","cty":"other"}"#).is_ok());
    let id = |length: usize| header(&format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(length)));
    assert!(id(256).is_ok());
    assert_eq!(id(257), Err(Malformed));
}

#[test]
fn typ_is_a_media_type() {
    use TokenType::*;
    for (typ, kind) in [
        ("JWT", Jwt),
        ("jwt", Jwt),
        ("application/jwt", Jwt),
        ("APPLICATION/JWT", Jwt),
        ("at+jwt", AccessToken),
        ("AT+JWT", AccessToken),
        ("application/at+jwt", AccessToken),
        ("application/x/at+jwt", Other),
        ("", Other),
        ("JWT ", Other),
        ("application/", Other),
        ("logout+jwt", Logout),
        ("application/Logout+JWT", Logout),
        ("logout+jwts", Other),
        ("better-auth.session-cache+jwt", Other),
        ("é", Other),
    ] {
        assert_eq!(TokenType::parse(typ), kind, "{typ}");
    }
}

//! Hostile and invalid tokens: each row is a case with its expected result.

use better_auth_jwt::{
    ErrorKind::{self, *},
    JwtAuthLayer, Profile, Verifier, jws,
    keys::{Algorithm, JwksResponse, Key, KeySet, RemoteKeySet, SharedSecret},
    test_util::Issuer,
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};

use crate::{bearer, request, send};

/// Why a verifier rejects a token, or `None` if it accepts it.
async fn verdict(verifier: &Verifier, token: &str) -> Option<ErrorKind> {
    verifier.verify(token).await.err().map(|error| error.kind())
}

async fn check(verifier: &Verifier, rows: impl IntoIterator<Item = (String, String, Option<ErrorKind>)>) {
    for (case, token, expected) in rows {
        assert_eq!(verdict(verifier, &token).await, expected, "{case}");
    }
}

#[tokio::test]
async fn headers() {
    let issuer = Issuer::new();
    let (verifier, claims) = (issuer.verifier(), issuer.claims("ada"));
    let id = issuer.header()["kid"].as_str().unwrap().to_owned();
    let with = |member: &str, value: Value| {
        let mut header = issuer.header();
        header[member] = value;
        header.to_string()
    };
    let rows = [
        ("valid", issuer.header().to_string(), None),
        (
            "members in another order, with whitespace",
            format!(" {{ \"kid\" : \"{id}\" ,\n\"alg\":\"EdDSA\" }}\t"),
            None,
        ),
        ("alg written with escapes", format!(r#"{{"alg":"Ed\u0044SA","kid":"{id}"}}"#), None),
        ("alg none", with("alg", json!("none")), Some(UnsupportedAlgorithm)),
        ("alg None", with("alg", json!("None")), Some(UnsupportedAlgorithm)),
        ("alg with a space", with("alg", json!("EdDSA ")), Some(UnsupportedAlgorithm)),
        ("alg with a NUL", with("alg", json!("EdDSA\0")), Some(UnsupportedAlgorithm)),
        ("alg in lower case", with("alg", json!("eddsa")), Some(UnsupportedAlgorithm)),
        ("alg empty", with("alg", json!("")), Some(UnsupportedAlgorithm)),
        ("alg missing", format!(r#"{{"kid":"{id}"}}"#), Some(UnsupportedAlgorithm)),
        ("alg of an encryption", with("alg", json!("RSA-OAEP")), Some(UnsupportedAlgorithm)),
        ("alg of another curve", with("alg", json!("ES256K")), Some(UnsupportedAlgorithm)),
        ("alg null", with("alg", json!(null)), Some(Malformed)),
        ("alg in an array", with("alg", json!(["EdDSA"])), Some(Malformed)),
        ("alg HS256 with the key's id", with("alg", json!("HS256")), Some(UnsupportedAlgorithm)),
        ("alg of another key type", with("alg", json!("ES256")), Some(UnknownKey)),
        ("alg by its newer name", with("alg", json!("Ed25519")), Some(UnknownKey)),
        ("alg twice", format!(r#"{{"alg":"EdDSA","alg":"EdDSA","kid":"{id}"}}"#), Some(Malformed)),
        ("alg twice, once escaped", format!(r#"{{"alg":"EdDSA","\u0061lg":"none","kid":"{id}"}}"#), Some(Malformed)),
        ("an unknown member twice", format!(r#"{{"alg":"EdDSA","kid":"{id}","x":1,"x":1}}"#), Some(Malformed)),
        ("a nested member twice", format!(r#"{{"alg":"EdDSA","kid":"{id}","x":{{"y":1,"y":1}}}}"#), Some(Malformed)),
        ("kid missing, one key fits", r#"{"alg":"EdDSA"}"#.to_owned(), None),
        ("kid unknown", with("kid", json!("other")), Some(UnknownKey)),
        ("kid in another case", with("kid", json!(id.to_uppercase() + "A")), Some(UnknownKey)),
        ("kid with a NUL", with("kid", json!(format!("{id}\0"))), Some(UnknownKey)),
        ("kid as a path", with("kid", json!("../../dev/null")), Some(UnknownKey)),
        ("kid as SQL", with("kid", json!("' OR 1=1--")), Some(UnknownKey)),
        ("kid empty", with("kid", json!("")), Some(UnknownKey)),
        ("kid a number", with("kid", json!(1)), Some(Malformed)),
        ("kid null", with("kid", json!(null)), Some(Malformed)),
        ("kid an object", with("kid", json!({})), Some(Malformed)),
        ("kid too long", with("kid", json!("k".repeat(257))), Some(Malformed)),
        ("typ JWT", with("typ", json!("JWT")), None),
        ("typ jwt", with("typ", json!("jwt")), None),
        ("typ as a media type", with("typ", json!("application/jwt")), None),
        ("typ of an access token", with("typ", json!("at+jwt")), Some(InvalidType)),
        ("typ of a logout token", with("typ", json!("logout+jwt")), Some(InvalidType)),
        ("typ of the session cache", with("typ", json!("better-auth.session-cache+jwt")), Some(InvalidType)),
        ("typ unknown", with("typ", json!("evil+jwt")), Some(InvalidType)),
        ("typ empty", with("typ", json!("")), Some(InvalidType)),
        ("typ null", with("typ", json!(null)), Some(Malformed)),
        ("cty of a nested token", with("cty", json!("JWT")), Some(InvalidType)),
        ("crit with an unknown extension", with("crit", json!(["x"])), Some(UnsupportedCriticalHeader)),
        ("crit empty", with("crit", json!([])), Some(UnsupportedCriticalHeader)),
        ("crit null", with("crit", json!(null)), Some(UnsupportedCriticalHeader)),
        ("crit naming a claim", with("crit", json!(["exp"])), Some(UnsupportedCriticalHeader)),
        ("crit a string", with("crit", json!("exp")), Some(UnsupportedCriticalHeader)),
        ("b64 false", with("b64", json!(false)), Some(UnsupportedCriticalHeader)),
        ("b64 true", with("b64", json!(true)), Some(UnsupportedCriticalHeader)),
        ("jku is not followed", with("jku", json!("http://127.0.0.1:1/jwks")), None),
        ("x5u is not followed", with("x5u", json!("file:///etc/passwd")), None),
        ("an array", "[]".to_owned(), Some(Malformed)),
        ("a string", "\"EdDSA\"".to_owned(), Some(Malformed)),
        ("empty", String::new(), Some(Malformed)),
        ("two objects", format!("{}{{}}", issuer.header()), Some(Malformed)),
        ("a byte order mark", format!("\u{feff}{}", issuer.header()), Some(Malformed)),
        ("a comment", format!("{}/**/", issuer.header()), Some(Malformed)),
        ("a lone surrogate", format!(r#"{{"alg":"EdDSA","kid":"{id}","x":"\ud800"}}"#), Some(Malformed)),
        (
            "nested too deep",
            format!(r#"{{"alg":"EdDSA","kid":"{id}","x":{}{}}}"#, "[".repeat(32), "]".repeat(32)),
            Some(Malformed),
        ),
        ("too long", with("x", json!("x".repeat(2000))), Some(Malformed)),
    ];
    let sign = |header: &str| issuer.sign_bytes(header.as_bytes(), claims.to_string().as_bytes());
    check(&verifier, rows.map(|(case, header, expected)| (case.to_owned(), sign(&header), expected))).await;
    let padded = |length: usize| {
        let rest = length - issuer.header().to_string().len() - r#","x":"""#.len();
        sign(&with("x", json!("x".repeat(rest))))
    };
    assert_eq!(verdict(&verifier, &padded(1536)).await, None, "2048 characters when encoded");
    assert_eq!(verdict(&verifier, &padded(1537)).await, Some(Malformed));
    let not_utf8 = issuer.sign_bytes(b"{\"alg\":\"EdDSA\",\"x\":\"\xff\"}", b"{}");
    assert_eq!(verdict(&verifier, &not_utf8).await, Some(Malformed));
}

#[tokio::test]
async fn a_key_in_the_header_is_not_used() {
    let (issuer, attacker) = (Issuer::new(), Issuer::new());
    for header in [
        json!({"alg": "EdDSA", "jwk": attacker.jwk()}),
        json!({"alg": "EdDSA", "jwk": attacker.jwk(), "kid": issuer.header()["kid"]}),
        json!({"alg": "EdDSA", "jwk": attacker.jwk(), "kid": attacker.header()["kid"]}),
    ] {
        let token = attacker.sign_with_header(&header, &issuer.claims("ada"));
        assert!(matches!(verdict(&issuer.verifier(), &token).await, Some(InvalidSignature | UnknownKey)));
    }
}

#[tokio::test]
async fn claims() {
    let issuer = Issuer::with_algorithm(Algorithm::HS256);
    let verifier = issuer.verifier();
    let valid = issuer.claims("ada");
    let now = valid["iat"].as_u64().unwrap();
    let origin = issuer.origin();
    let with = |member: &str, value: Value| {
        let mut claims = valid.clone();
        claims[member] = value;
        claims.to_string()
    };
    let without = |member: &str| {
        let mut claims = valid.clone();
        claims.as_object_mut().unwrap().remove(member);
        claims.to_string()
    };
    // For values that `Value` would change or cannot represent.
    let raw = |member: &str, value: &str| with(member, json!("@")).replace("\"@\"", value);
    let rows = [
        ("valid", valid.to_string(), None),
        ("exp missing", without("exp"), Some(InvalidClaims)),
        ("exp now, within leeway", with("exp", json!(now)), None),
        ("exp a second within leeway", with("exp", json!(now - 29)), None),
        ("exp at the end of leeway", with("exp", json!(now - 30)), Some(Expired)),
        ("exp a fraction later is rounded down", with("exp", json!(now as f64 - 29.5)), Some(Expired)),
        ("exp zero", with("exp", json!(0)), Some(Expired)),
        ("exp 3600, a duration by mistake", with("exp", json!(3600)), Some(Expired)),
        ("exp a float", with("exp", json!(now as f64 + 0.731)), None),
        ("exp with an exponent", raw("exp", "2.5e9"), None),
        ("exp in the year 9999", with("exp", json!(253_402_300_799_u64)), None),
        ("exp in the year 10000", with("exp", json!(253_402_300_800_u64)), Some(InvalidClaims)),
        ("exp in milliseconds", with("exp", json!(now * 1000)), Some(InvalidClaims)),
        ("exp beyond 2^53", raw("exp", "9007199254740993"), Some(InvalidClaims)),
        ("exp beyond 2^63", raw("exp", "9223372036854775808"), Some(InvalidClaims)),
        ("exp beyond 2^64", raw("exp", "18446744073709551616"), Some(InvalidClaims)),
        ("exp infinite", raw("exp", "1e400"), Some(InvalidClaims)),
        ("exp NaN", raw("exp", "NaN"), Some(Malformed)),
        ("exp negative", with("exp", json!(-1)), Some(InvalidClaims)),
        ("exp negative zero", raw("exp", "-0"), Some(InvalidClaims)),
        ("exp a string", with("exp", json!(format!("{}", now + 900))), Some(InvalidClaims)),
        ("exp null", with("exp", json!(null)), Some(InvalidClaims)),
        ("exp true", with("exp", json!(true)), Some(InvalidClaims)),
        ("exp an array", with("exp", json!([now + 900])), Some(InvalidClaims)),
        ("exp an object", with("exp", json!({})), Some(InvalidClaims)),
        ("exp twice", valid.to_string().replacen('{', "{\"exp\":1,", 1), Some(Malformed)),
        ("nbf in the past", with("nbf", json!(now - 1)), None),
        ("nbf within leeway", with("nbf", json!(now + 30)), None),
        ("nbf beyond leeway", with("nbf", json!(now + 31)), Some(NotYetValid)),
        ("nbf a fraction beyond leeway is rounded up", with("nbf", json!(now as f64 + 30.5)), Some(NotYetValid)),
        ("nbf a string", with("nbf", json!("99999999999")), Some(InvalidClaims)),
        ("nbf null", with("nbf", json!(null)), Some(InvalidClaims)),
        ("iat missing", without("iat"), None),
        ("iat within leeway", with("iat", json!(now + 30)), None),
        ("iat in the future", with("iat", json!(now + 31)), Some(NotYetValid)),
        ("iat long ago", with("iat", json!(1)), None),
        ("iat a string", with("iat", json!("1")), Some(InvalidClaims)),
        ("iat negative", with("iat", json!(-1)), Some(InvalidClaims)),
        ("iss missing", without("iss"), Some(InvalidIssuer)),
        ("iss empty", with("iss", json!("")), Some(InvalidClaims)),
        ("iss null", with("iss", json!(null)), Some(InvalidClaims)),
        ("iss an array with ours", with("iss", json!([origin, "https://evil.example"])), Some(InvalidClaims)),
        ("iss a number", with("iss", json!(1)), Some(InvalidClaims)),
        ("iss with a slash", with("iss", json!(format!("{origin}/"))), Some(InvalidIssuer)),
        ("iss with the base path", with("iss", json!(format!("{origin}/api/auth"))), Some(InvalidIssuer)),
        ("iss in capitals", with("iss", json!(origin.to_uppercase())), Some(InvalidIssuer)),
        ("iss with a NUL", with("iss", json!(format!("{origin}\0"))), Some(InvalidIssuer)),
        ("iss a prefix of ours", with("iss", json!(&origin[..origin.len() - 1])), Some(InvalidIssuer)),
        ("iss written with escapes", raw("iss", &format!("\"{}\"", origin.replace('/', "\\/"))), None),
        ("aud missing", without("aud"), Some(InvalidAudience)),
        ("aud null", with("aud", json!(null)), Some(InvalidClaims)),
        ("aud a number", with("aud", json!(123)), Some(InvalidClaims)),
        ("aud an object", with("aud", json!({"0": origin})), Some(InvalidClaims)),
        ("aud empty", with("aud", json!("")), Some(InvalidClaims)),
        ("aud an empty array", with("aud", json!([])), Some(InvalidAudience)),
        ("aud an array with ours", with("aud", json!(["https://other.example", origin])), None),
        ("aud an array without ours", with("aud", json!(["https://other.example"])), Some(InvalidAudience)),
        ("aud an array with ours and a number", with("aud", json!([origin, 1])), Some(InvalidClaims)),
        ("aud an array with ours and null", with("aud", json!([origin, null])), Some(InvalidClaims)),
        ("aud a nested array", with("aud", json!([[origin]])), Some(InvalidClaims)),
        ("aud with a slash", with("aud", json!(format!("{origin}/"))), Some(InvalidAudience)),
        ("aud that contains ours", with("aud", json!(format!("x{origin}"))), Some(InvalidAudience)),
        ("aud in capitals", with("aud", json!(origin.to_uppercase())), Some(InvalidAudience)),
        ("aud with 64 entries", with("aud", json!(vec![origin; 64])), None),
        ("aud with 65 entries", with("aud", json!(vec![origin; 65])), Some(InvalidClaims)),
        ("aud of the session cache", with("aud", json!("better-auth:session-cache")), Some(InvalidAudience)),
        ("sub missing", without("sub"), Some(InvalidClaims)),
        ("sub null", with("sub", json!(null)), Some(InvalidClaims)),
        ("sub empty", with("sub", json!("")), Some(InvalidClaims)),
        ("sub a number", with("sub", json!(123)), Some(InvalidClaims)),
        ("sub an array", with("sub", json!(["ada"])), Some(InvalidClaims)),
        ("sub an object", with("sub", json!({"id": "ada"})), Some(InvalidClaims)),
        ("sub twice", valid.to_string().replacen('{', r#"{"sub":"bob","#, 1), Some(Malformed)),
        ("sub twice, once escaped", valid.to_string().replacen('{', r#"{"s\u0075b":"bob","#, 1), Some(Malformed)),
        (
            "a custom claim twice",
            valid.to_string().replacen('{', r#"{"role":"user","role":"admin","#, 1),
            Some(Malformed),
        ),
        ("a nested claim twice", with("x", json!({})).replace("\"x\":{}", r#""x":[{"y":1,"y":2}]"#), Some(Malformed)),
        ("email null", with("email", json!(null)), None),
        ("email a number, which no rule reads", with("email", json!(1)), None),
        ("email an array, which no rule reads", with("email", json!(["ada@example.com"])), None),
        ("name an object, which no rule reads", with("name", json!({})), None),
        ("sid null", with("sid", json!(null)), None),
        ("sid an array", with("sid", json!([])), Some(InvalidClaims)),
        ("jti a number, which no rule reads", with("jti", json!(1)), None),
        ("a client-credentials token", with("client_id", json!("ada")), Some(ClientToken)),
        ("a token with azp only", with("azp", json!("ada")), Some(ClientToken)),
        ("a user's token from a client", with("client_id", json!("some-client")), None),
        // RFC 7800: the token is bound to a key, and a bearer token does not prove possession of it.
        (
            "cnf of DPoP",
            with("cnf", json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})),
            Some(SenderConstrained),
        ),
        (
            "cnf of mutual TLS",
            with("cnf", json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"})),
            Some(SenderConstrained),
        ),
        ("cnf with a key", with("cnf", json!({"jwk": {"kty": "OKP"}})), Some(SenderConstrained)),
        ("cnf with a kid", with("cnf", json!({"kid": "device"})), Some(SenderConstrained)),
        ("cnf empty", with("cnf", json!({})), Some(SenderConstrained)),
        ("cnf null", with("cnf", json!(null)), Some(SenderConstrained)),
        ("cnf false", with("cnf", json!(false)), Some(SenderConstrained)),
        ("cnf a string", with("cnf", json!("")), Some(SenderConstrained)),
        (
            "cnf written with an escape",
            valid.to_string().replacen('{', r#"{"\u0063nf":{"jkt":"x"},"#, 1),
            Some(SenderConstrained),
        ),
        ("cnf inside of another claim binds nothing", with("x", json!({"cnf": {"jkt": "x"}})), None),
        ("CNF in capitals is another claim", with("CNF", json!({"jkt": "x"})), None),
        ("a number no float can hold, in a claim that no rule reads", raw("x", "1e999"), None),
        ("an array", "[1]".to_owned(), Some(Malformed)),
        ("a string", "\"x\"".to_owned(), Some(Malformed)),
        ("null", "null".to_owned(), Some(Malformed)),
        ("nothing", String::new(), Some(Malformed)),
        ("trailing garbage", format!("{valid}x"), Some(Malformed)),
        (
            "nested as deep as allowed",
            with("x", json!("@")).replace("\"@\"", &format!("{}{}", "[".repeat(31), "]".repeat(31))),
            None,
        ),
        (
            "nested too deep",
            with("x", json!("@")).replace("\"@\"", &format!("{}{}", "[".repeat(32), "]".repeat(32))),
            Some(Malformed),
        ),
        (
            "Better Auth's e-mail verification",
            json!({"email": "ada@example.com", "userId": "ada", "iat": now, "exp": now + 3600}).to_string(),
            Some(InvalidIssuer),
        ),
    ];
    let header = issuer.header().to_string();
    let sign = |claims: &str| issuer.sign_bytes(header.as_bytes(), claims.as_bytes());
    check(&verifier, rows.map(|(case, claims, expected)| (case.to_owned(), sign(&claims), expected))).await;
    let not_utf8 = issuer.sign_bytes(
        header.as_bytes(),
        &[valid.to_string().trim_end_matches('}').as_bytes(), b",\"x\":\"\xff\"}"].concat(),
    );
    assert_eq!(verdict(&verifier, &not_utf8).await, Some(Malformed));
}

#[tokio::test]
async fn sender_constrained_tokens_are_rejected_in_every_profile() {
    for profile in [Profile::Jwt, Profile::AccessToken] {
        let issuer = Issuer::new();
        let verifier = issuer.verifier().profile(profile);
        let header = match profile {
            Profile::AccessToken => json!({"alg": "EdDSA", "kid": issuer.header()["kid"], "typ": "at+jwt"}),
            _ => issuer.header(),
        };
        let mut claims = issuer.claims("ada");
        (claims["client_id"], claims["jti"]) = (json!("client"), json!("one"));
        let plain = issuer.sign_with_header(&header, &claims);
        assert_eq!(verdict(&verifier, &plain).await, None, "{profile:?}");
        for proof in [json!({"jkt": "x"}), json!({"x5t#S256": "x"}), json!(null)] {
            claims["cnf"] = proof;
            let bound = issuer.sign_with_header(&header, &claims);
            let lenient = Verifier::builder(KeySet::from_json(issuer.jwks()).unwrap());
            let lenient = lenient
                .insecure_any_issuer()
                .insecure_any_audience()
                .unwrap()
                .allow_client_credentials()
                .profile(profile)
                .clock(issuer.clock());
            for verifier in [&verifier, &lenient] {
                assert_eq!(verdict(verifier, &bound).await, Some(SenderConstrained), "{profile:?} {claims}");
            }
        }
    }
}

#[tokio::test]
async fn a_sender_constrained_token_gets_401_invalid_token_each_time() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier());
    let mut claims = issuer.claims("ada");
    let plain = bearer(&issuer.sign(&claims));
    claims["cnf"] = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"});
    let bound = bearer(&issuer.sign(&claims));
    // The cached token of the same user must not affect the bound one, also if it is sent again.
    for _ in 0..3 {
        assert_eq!(send(&layer, request("/", &plain)).await.status(), 200);
        for layer in [layer.clone(), layer.clone().optional()] {
            let response = send(&layer, request("/", &bound)).await;
            assert_eq!(response.status(), 401);
            assert_eq!(response.extensions().get(), Some(&SenderConstrained));
            let challenge = response.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
            assert!(!challenge.contains("cnf"), "{challenge}");
        }
    }
    assert!(SenderConstrained.to_string().contains("bound to a key"), "{SenderConstrained}");
}

#[tokio::test]
async fn serialisations() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier();
    let token = issuer.token("ada");
    let parts: Vec<&str> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    // The last character of 64 encoded bytes carries four bits that must be zero.
    let unused_bits = {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = alphabet.find(&token[token.len() - 1..]).unwrap();
        format!("{}{}", &token[..token.len() - 1], &alphabet[last + 1..last + 2])
    };
    let rows = [
        ("valid", token.clone(), None),
        ("no signature", format!("{header}.{payload}."), Some(InvalidSignature)),
        ("no payload", format!("{header}..{signature}"), Some(InvalidSignature)),
        ("no header", format!(".{payload}.{signature}"), Some(Malformed)),
        ("two parts", format!("{header}.{payload}"), Some(Malformed)),
        ("four parts", format!("{token}.x"), Some(Malformed)),
        ("five parts are a JWE", format!("{header}.a.b.c.d"), Some(EncryptedToken)),
        ("a leading dot", format!(".{token}"), Some(Malformed)),
        (
            "flattened JSON",
            json!({"protected": header, "payload": payload, "signature": signature}).to_string(),
            Some(Malformed),
        ),
        ("JSON that splits on dots", format!(r#"{{"a":"{header}.{payload}.{signature}"}}"#), Some(Malformed)),
        ("padding in the header", format!("{header}=.{payload}.{signature}"), Some(Malformed)),
        ("padding in the signature", format!("{token}=="), Some(Malformed)),
        (
            "the other alphabet",
            token.replace(['-', '_'], "+"),
            if token.contains(['-', '_']) { Some(Malformed) } else { None },
        ),
        (
            "a space in the signature",
            format!("{} {}", &token[..token.len() - 5], &token[token.len() - 5..]),
            Some(Malformed),
        ),
        ("a trailing line break", format!("{token}\n"), Some(Malformed)),
        ("an escaped padding", format!("{token}%3D"), Some(Malformed)),
        ("a zero-width space", format!("{token}\u{200b}"), Some(Malformed)),
        ("non-zero unused bits in the last character", unused_bits, Some(Malformed)),
        ("a shorter signature", token[..token.len() - 2].to_owned(), Some(InvalidSignature)),
        ("a longer signature", format!("{}AAAA", &token[..token.len() - 2]), Some(InvalidSignature)),
        (
            "a signature of the maximum length",
            format!("{header}.{payload}.{}", "A".repeat(1366)),
            Some(InvalidSignature),
        ),
        ("a signature that is too long", format!("{header}.{payload}.{}", "A".repeat(1367)), Some(Malformed)),
        ("header and payload swapped", format!("{payload}.{header}.{signature}"), Some(UnsupportedAlgorithm)),
        (
            "the signature of another token",
            format!("{header}.{payload}.{}", issuer.token("bob").rsplit('.').next().unwrap()),
            Some(InvalidSignature),
        ),
        ("a session token", "A".repeat(32), Some(OpaqueToken)),
        (
            "a signed session token",
            format!("{}.FDyzCJ92X3qT3McOzfs6kDJA5Hu57vpcvsvj3kzAOiU=", "A".repeat(32)),
            Some(OpaqueToken),
        ),
        ("exactly as large as allowed", "A".repeat(8192), Some(Malformed)),
        ("too large", "A".repeat(8193), Some(TokenTooLarge)),
        ("much too large", ".".repeat(1_000_000), Some(TokenTooLarge)),
        ("dots", ".".repeat(8000), Some(Malformed)),
    ];
    check(&verifier, rows.map(|(case, token, expected)| (case.to_owned(), token, expected))).await;
    assert_eq!(verdict(&issuer.verifier().max_token_size(100), &token).await, Some(TokenTooLarge));
}

#[tokio::test]
async fn authorization_headers() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier());
    let token = issuer.token("ada");
    let valid = bearer(&token);
    let rows: [(&str, &[&[u8]], u16); 17] = [
        ("one valid header", &[valid.as_bytes()], 200),
        ("none", &[], 401),
        ("the same twice", &[valid.as_bytes(), valid.as_bytes()], 400),
        ("valid, then bad", &[valid.as_bytes(), b"Bearer x"], 400),
        ("bad, then valid", &[b"Bearer x", valid.as_bytes()], 400),
        ("an additional header with another scheme", &[valid.as_bytes(), b"Basic YTpi"], 400),
        ("another scheme", &[b"Basic YTpi"], 401),
        ("a scheme that starts with Bearer", &[b"BearerX x"], 401),
        ("no credentials", &[b"Bearer"], 401),
        ("credentials of spaces", &[b"Bearer   "], 401),
        ("a tab", &[b"Bearer\tx"], 400),
        ("bytes outside ASCII", &[b"Bearer \xff\xfe.b.c"], 400),
        ("quotes", &[b"Bearer \"a.b.c\""], 401),
        ("a plus", &[b"Bearer a+b.c/d.e="], 401),
        ("joined by a comma", &[b"Bearer a.b.c, Bearer d.e.f"], 401),
        ("a parameter", &[b"Bearer token=\"a.b.c\""], 401),
        ("large", &[&[b'B'; 400_000]], 401),
    ];
    for (case, values, status) in rows {
        let mut request = request("/?access_token=x", "");
        for value in values {
            request.headers_mut().append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(send(&layer, request).await.status(), status, "{case}");
    }
}

#[tokio::test]
async fn tokens_outside_of_the_authorization_header_are_ignored() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier());
    let token = issuer.token("ada");
    let mut request = request(&format!("/?access_token={token}&token={token}"), "");
    let headers: &mut HeaderMap = request.headers_mut();
    for name in
        ["x-authorization", "proxy-authorization", "cookie", "x-access-token", "forwarded", "sec-websocket-protocol"]
    {
        headers.insert(name, HeaderValue::try_from(bearer(&token)).unwrap());
    }
    assert_eq!(send(&layer, request).await.status(), 401);
}

#[tokio::test]
async fn a_public_key_is_never_used_as_a_secret() {
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256] {
        let issuer = Issuer::with_algorithm(algorithm);
        let jwk = issuer.jwk();
        let mut secrets = vec![issuer.jwks(), jwk.to_string(), jwk["kid"].as_str().unwrap().to_owned()];
        secrets.extend(["x", "n", "y"].iter().filter_map(|name| jwk[*name].as_str().map(str::to_owned)));
        for secret in secrets {
            for name in ["HS256", "HS384", "HS512"] {
                let forger = Issuer::with_secret(secret.as_bytes());
                let header = json!({"alg": name, "kid": jwk["kid"]});
                let token = forger.sign_with_header(&header, &issuer.claims("ada"));
                assert_eq!(verdict(&issuer.verifier(), &token).await, Some(UnsupportedAlgorithm), "{algorithm} {name}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_verifies_its_own_algorithm_only() {
    // The same RSA key, with every other algorithm.
    let issuer = Issuer::with_algorithm(Algorithm::PS256);
    for name in ["RS256", "RS384", "RS512", "PS384", "PS512", "ES256", "HS256"] {
        let mut header = issuer.header();
        header["alg"] = json!(name);
        let token = issuer.sign_with_header(&header, &issuer.claims("ada"));
        assert!(verdict(&issuer.verifier(), &token).await.is_some(), "{name}");
    }
    let shared = Issuer::with_algorithm(Algorithm::HS512);
    for name in ["HS256", "HS384"] {
        let token = shared.sign_with_header(&json!({ "alg": name }), &shared.claims("ada"));
        assert_eq!(verdict(&shared.verifier(), &token).await, Some(UnsupportedAlgorithm), "{name}");
    }
}

#[tokio::test]
async fn ecdsa_signatures_with_zeros_or_of_another_format_are_rejected() {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    for (algorithm, length) in [(Algorithm::ES256, 64), (Algorithm::ES384, 96), (Algorithm::ES512, 132)] {
        let issuer = Issuer::with_algorithm(algorithm);
        let token = issuer.token("ada");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let valid = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert_eq!(valid.len(), length);
        let mut one = vec![0; length];
        one[length - 1] = 1;
        for bad in [
            vec![0; length],
            vec![0xff; length],
            one,
            vec![],
            valid[1..].to_vec(),
            valid[..length - 1].to_vec(),
            [&valid[..], &[0]].concat(),
            [&[0], &valid[..]].concat(),
            [&valid[length / 2..], &valid[..length / 2]].concat(),
        ] {
            let token = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(&bad));
            assert_eq!(verdict(&issuer.verifier(), &token).await, Some(InvalidSignature), "{algorithm} {bad:?}");
        }
    }
}

#[tokio::test]
async fn all_secrets_in_rotation_are_accepted_and_no_others() {
    let (new, old, gone) = (Issuer::with_secret([1; 32]), Issuer::with_secret([2; 32]), Issuer::with_secret([3; 32]));
    let verifier = Verifier::builder(SharedSecret::keyring([[1; 32], [2; 32]]).unwrap())
        .issuer(new.origin())
        .audience(new.origin())
        .unwrap();
    assert_eq!(verdict(&verifier, &new.token("ada")).await, None);
    assert_eq!(verdict(&verifier, &old.token("ada")).await, None);
    assert_eq!(verdict(&verifier, &gone.token("ada")).await, Some(InvalidSignature));
}

#[tokio::test]
async fn a_token_needs_a_kid_if_two_keys_fit() {
    let (a, b) = (Issuer::new(), Issuer::new());
    let keys = KeySet::from_json(json!({"keys": [a.jwk(), b.jwk()]}).to_string()).unwrap();
    let verifier = Verifier::builder(keys).issuer(a.origin()).audience(a.origin()).unwrap();
    assert_eq!(verdict(&verifier, &a.token("ada")).await, None);
    let token = a.sign_with_header(&json!({"alg": "EdDSA"}), &a.claims("ada"));
    assert_eq!(verdict(&verifier, &token).await, Some(UnknownKey));
    let token = a.sign_with_header(&b.header(), &a.claims("ada"));
    assert_eq!(verdict(&verifier, &token).await, Some(InvalidSignature));
}

#[tokio::test]
async fn each_issuer_is_bound_to_its_own_keys_and_rules() {
    let web = Issuer::new().with_origin("https://web.example").with_key_id("1");
    let admin = Issuer::new().with_origin("https://admin.example").with_key_id("1");
    let secret = Issuer::with_algorithm(Algorithm::HS256).with_origin("https://web.example");
    let verifier = web.verifier().or(admin.verifier()).or(secret.verifier());
    for valid in [&web, &admin, &secret] {
        assert_eq!(verdict(&verifier, &valid.token("ada")).await, None);
    }
    let rows = [
        ("admin's key under web's name", admin.sign(&web.claims("ada")), InvalidSignature),
        ("web's key under admin's name", web.sign(&admin.claims("ada")), InvalidSignature),
        ("the secret under admin's name", secret.sign(&admin.claims("ada")), InvalidIssuer),
        ("an unknown issuer", web.sign(&web_at(&web, "https://evil.example")), InvalidIssuer),
        ("no issuer", web.sign(&without_issuer(&web)), InvalidIssuer),
        ("web's keys for admin's audience", web.sign(&with_audience(&web, admin.origin())), InvalidAudience),
    ];
    for (case, token, expected) in rows {
        assert_eq!(verdict(&verifier, &token).await, Some(expected), "{case}");
    }
}

fn web_at(issuer: &Issuer, origin: &str) -> Value {
    let mut claims = issuer.claims("ada");
    claims["iss"] = json!(origin);
    claims
}

fn without_issuer(issuer: &Issuer) -> Value {
    let mut claims = issuer.claims("ada");
    claims.as_object_mut().unwrap().remove("iss");
    claims
}

fn with_audience(issuer: &Issuer, audience: &str) -> Value {
    let mut claims = issuer.claims("ada");
    claims["aud"] = json!(audience);
    claims
}

#[tokio::test]
async fn one_issuer_with_an_old_key_set_and_a_new_one() {
    let (old, new) = (Issuer::new().with_key_id("old"), Issuer::new().with_key_id("new"));
    let verifier = old.verifier().or(new.verifier());
    assert_eq!(verdict(&verifier, &old.token("ada")).await, None);
    assert_eq!(verdict(&verifier, &new.token("ada")).await, None);
    assert_eq!(verdict(&verifier, &Issuer::new().token("ada")).await, Some(UnknownKey));
}

#[tokio::test]
async fn access_tokens_are_accepted_only_with_the_access_token_profile() {
    let issuer = Issuer::new();
    let now = issuer.claims("ada")["iat"].as_u64().unwrap();
    let valid = json!({
        "iss": issuer.origin(), "aud": [issuer.origin(), "https://app.example.com/userinfo"], "sub": "ada", "client_id": "client",
        "azp": "client", "scope": "openid tasks:read", "sid": "s", "iat": now, "exp": now + 3600, "jti": "j",
    });
    let header = |typ: &str| {
        let mut header = issuer.header();
        header["typ"] = json!(typ);
        header
    };
    let without = |member: &str| {
        let mut claims = valid.clone();
        claims.as_object_mut().unwrap().remove(member);
        claims
    };
    let client = {
        let mut claims = valid.clone();
        claims["sub"] = json!("client");
        claims
    };
    let access = issuer.verifier().profile(Profile::AccessToken);
    let rows = [
        ("an access token", issuer.sign_with_header(&header("at+jwt"), &valid), None),
        ("typ as a media type", issuer.sign_with_header(&header("application/AT+JWT"), &valid), None),
        ("typ JWT", issuer.sign_with_header(&header("JWT"), &valid), Some(InvalidType)),
        ("no typ", issuer.sign(&valid), Some(InvalidType)),
        ("without client_id", issuer.sign_with_header(&header("at+jwt"), &without("client_id")), Some(InvalidClaims)),
        ("without jti", issuer.sign_with_header(&header("at+jwt"), &without("jti")), Some(InvalidClaims)),
        ("without iat", issuer.sign_with_header(&header("at+jwt"), &without("iat")), Some(InvalidClaims)),
        ("without aud", issuer.sign_with_header(&header("at+jwt"), &without("aud")), Some(InvalidAudience)),
        ("an access token of a client", issuer.sign_with_header(&header("at+jwt"), &client), Some(ClientToken)),
    ];
    check(&access, rows.map(|(case, token, expected)| (case.to_owned(), token, expected))).await;
    let clients = issuer.verifier().profile(Profile::AccessToken).allow_client_credentials();
    assert_eq!(verdict(&clients, &issuer.sign_with_header(&header("at+jwt"), &client)).await, None);

    let both = issuer.verifier().or(access);
    assert_eq!(verdict(&both, &issuer.token("ada")).await, None);
    assert_eq!(verdict(&both, &issuer.sign_with_header(&header("at+jwt"), &valid)).await, None);
    assert_eq!(verdict(&both, &issuer.sign_with_header(&header("logout+jwt"), &valid)).await, Some(InvalidType));
    assert_eq!(
        verdict(&both, &issuer.sign_with_header(&header("at+jwt"), &without("jti"))).await,
        Some(InvalidClaims),
        "the rules of its issuer"
    );
}

#[tokio::test]
async fn a_maximum_age_requires_iat() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier().max_age(std::time::Duration::from_secs(60));
    let mut claims = issuer.claims("ada");
    let now = claims["iat"].as_u64().unwrap();
    for (iat, expected) in [
        (json!(now), None),
        (json!(now - 89), None),
        (json!(now - 90), Some(MaxAgeExceeded)),
        (json!("x"), Some(InvalidClaims)),
    ] {
        claims["iat"] = iat.clone();
        assert_eq!(verdict(&verifier, &issuer.sign(&claims)).await, expected, "{iat}");
    }
    claims.as_object_mut().unwrap().remove("iat");
    assert_eq!(verdict(&verifier, &issuer.sign(&claims)).await, Some(InvalidClaims));
}

#[tokio::test]
async fn the_user_id_claim_can_be_configured_but_sub_is_still_required() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier().user_id_claim("id");
    let mut claims = issuer.claims("custom|42");
    claims["id"] = json!("42");
    assert_eq!(verifier.verify(&issuer.sign(&claims)).await.unwrap().user_id(), "42");
    for id in [json!(42), json!(""), json!(null)] {
        claims["id"] = id;
        assert_eq!(verdict(&verifier, &issuer.sign(&claims)).await, Some(InvalidClaims));
    }
    claims["id"] = json!("42");
    claims.as_object_mut().unwrap().remove("sub");
    assert_eq!(verdict(&verifier, &issuer.sign(&claims)).await, Some(InvalidClaims));
}

#[tokio::test]
async fn issuer_and_audience_must_be_of_the_right_type_even_if_they_are_not_checked() {
    let issuer = Issuer::with_secret([5; 32]);
    let verifier = Verifier::shared_secret([5; 32]).unwrap().insecure_any_issuer().insecure_any_audience().unwrap();
    let mut claims = issuer.claims("ada");
    for member in ["iss", "aud"] {
        claims.as_object_mut().unwrap().remove(member);
    }
    assert_eq!(verdict(&verifier, &issuer.sign(&claims)).await, None);
    for (member, value) in
        [("iss", json!(1)), ("iss", json!(null)), ("aud", json!(1)), ("aud", json!([1])), ("aud", json!(""))]
    {
        let mut claims = issuer.claims("ada");
        claims[member] = value.clone();
        assert_eq!(verdict(&verifier, &issuer.sign(&claims)).await, Some(InvalidClaims), "{member} {value}");
    }
    // Better Auth's cookie cache and email tokens have no sub, and are signed with the same secret.
    let now = issuer.claims("ada")["iat"].as_u64().unwrap();
    for other in [
        json!({"email": "ada@example.com", "userId": "ada", "iat": now, "exp": now + 3600}),
        json!({"session": {"userId": "ada", "token": "t"}, "user": {"id": "ada"}, "updatedAt": 1, "version": "1", "iat": now, "exp": now + 300}),
    ] {
        assert_eq!(verdict(&verifier, &issuer.sign(&other)).await, Some(InvalidClaims));
    }
}

#[test]
fn debug_prints_no_secret() {
    let secret = "k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n";
    let verifier =
        Verifier::shared_secret(secret).unwrap().issuer("https://a.example").audience("https://a.example").unwrap();
    let layer = JwtAuthLayer::new(verifier.clone());
    let printed = format!("{verifier:?} {layer:?} {:?} {:?}", SharedSecret::new(secret), Issuer::with_secret(secret));
    assert!(!printed.contains(secret), "{printed}");
    assert!(printed.contains("https://a.example"), "{printed}");
}

#[test]
fn jws_verify_accepts_any_payload() {
    let issuer = Issuer::new();
    let keys = KeySet::from_json(issuer.jwks()).unwrap();
    let header = issuer.header().to_string();
    let token = issuer.sign_bytes(header.as_bytes(), b"not JSON");
    assert_eq!(jws::verify(&token, &keys).unwrap(), b"not JSON");
    assert_eq!(jws::verify(&Issuer::new().token("ada"), &keys).unwrap_err().kind(), UnknownKey);
    let forged = Issuer::new().sign_bytes(header.as_bytes(), b"not JSON");
    assert_eq!(jws::verify(&forged, &keys).unwrap_err().kind(), InvalidSignature);
    let symmetric = issuer.sign_bytes(br#"{"alg":"HS256"}"#, b"");
    assert_eq!(jws::verify(&symmetric, &keys).unwrap_err().kind(), UnsupportedAlgorithm);
    assert_eq!(jws::verify("x", &keys).unwrap_err().kind(), Malformed);
}

#[tokio::test]
async fn rsa_keys_without_an_algorithm_get_the_configured_one() {
    let issuer = Issuer::with_algorithm(Algorithm::PS256);
    let mut jwk = issuer.jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let set = json!({ "keys": [jwk] }).to_string();
    let verifier = |keys: KeySet| Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
    assert!(KeySet::from_json(&set).is_err());
    let ps256 = verifier(KeySet::from_json_with_default_rsa_algorithm(&set, Algorithm::PS256).unwrap());
    assert_eq!(verdict(&ps256, &issuer.token("ada")).await, None);
    let rs256 = verifier(KeySet::from_json_with_default_rsa_algorithm(&set, Algorithm::RS256).unwrap());
    assert_eq!(verdict(&rs256, &issuer.token("ada")).await, Some(UnknownKey));
    for wrong in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::HS256] {
        assert!(KeySet::from_json_with_default_rsa_algorithm(&set, wrong).is_err(), "{wrong}");
        let remote =
            RemoteKeySet::with_fetch(async |_| Ok(JwksResponse::default())).default_rsa_algorithm(wrong).build();
        assert!(remote.is_err(), "{wrong}");
    }
    let remote = RemoteKeySet::with_fetch({
        let set = set.clone();
        move |_| std::future::ready(Ok(JwksResponse::new(set.clone())))
    });
    let remote = remote.default_rsa_algorithm(Algorithm::PS256).build().unwrap();
    let remote = Verifier::builder(remote).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
    assert_eq!(verdict(&remote, &issuer.token("ada")).await, None);
}

#[tokio::test]
async fn keys_can_be_created_from_a_decoding_key() {
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::ES384, Algorithm::RS256, Algorithm::PS512] {
        let issuer = Issuer::with_algorithm(algorithm);
        let jwk = issuer.jwk();
        let member = |name: &str| jwk[name].as_str().unwrap();
        let key = match member("kty") {
            "OKP" => DecodingKey::from_ed_components(member("x")),
            "EC" => DecodingKey::from_ec_components(member("x"), member("y")),
            _ => DecodingKey::from_rsa_components(member("n"), member("e")),
        };
        let key = Key::new(algorithm, &key.unwrap()).unwrap().with_key_id(member("kid"));
        assert_eq!((key.key_id(), key.algorithm()), (Some(member("kid")), algorithm));
        let printed = format!("{key:?}");
        assert!(printed.contains(member("kid")) && printed.contains(&algorithm.to_string()), "{printed}");
        assert!(!printed.contains(member(if member("kty") == "RSA" { "n" } else { "x" })), "{printed}");
        let verifier = Verifier::builder(KeySet::from_keys([key]).unwrap())
            .issuer(issuer.origin())
            .audience(issuer.origin())
            .unwrap();
        assert_eq!(verdict(&verifier, &issuer.token("ada")).await, None, "{algorithm}");
        let forged = Issuer::with_algorithm(algorithm).sign_with_header(&issuer.header(), &issuer.claims("ada"));
        assert_eq!(verdict(&verifier, &forged).await, Some(InvalidSignature), "{algorithm}");
    }
    assert!(KeySet::from_keys([]).is_err());
}

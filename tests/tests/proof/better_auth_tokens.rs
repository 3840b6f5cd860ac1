//! Every string that real Better Auth servers with 20 configurations issued, used as a token: only tokens for an API are
//! accepted.

use std::{borrow::Cow, collections::BTreeSet, fs};

use better_auth_jwt::{
    ErrorKind, Profile, Verifier, VerifierBuilder, WantsIssuer,
    keys::{KeySet, SharedSecret},
    test_util::Issuer,
};
use serde_json::{Value, json};

use crate::{shared_data, verdict};

#[test]
fn captured_api_tokens_are_accepted_at_the_time_of_their_capture() {
    let Some(captured) = Captured::read() else { return };
    let mut accepted = 0;
    for server in captured.servers() {
        for token in server.api_tokens() {
            let verdict = verdict::of(&server.verifier(), token);
            if server.name == "jwt-EdDSA-numeric-exp-3600" {
                // Better Auth interprets a number as a Unix time, here in 1970.
                assert_eq!(verdict.err(), Some(ErrorKind::Expired), "{}", server.name);
            } else {
                let claims = verdict.unwrap_or_else(|kind| panic!("{}: {kind}", server.name));
                assert_eq!(claims.user_id(), server.text("/jwt/payload/sub"), "{}", server.name);
                accepted += 1;
            }
        }
    }
    assert!(accepted >= 36, "only {accepted} tokens were tried");
}

#[test]
fn no_other_captured_string_is_accepted() {
    let Some(captured) = Captured::read() else { return };
    let mut tried = 0;
    for server in captured.servers() {
        let accepted = server.api_tokens();
        let mut verifiers = vec![server.verifier(), server.by_secret()];
        verifiers.push(server.at_its_time(server.secret().insecure_any_issuer().insecure_any_audience().unwrap()));
        for text in server.strings().iter().filter(|text| !accepted.contains(&text.as_str())) {
            for verifier in &verifiers {
                let verdict = verdict::of(verifier, text);
                assert!(verdict.is_err(), "{} accepts {text}", server.name);
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "only {tried} strings were tried");
}

#[test]
fn tokens_sent_by_mistake_have_their_own_errors() {
    let Some(captured) = Captured::read() else { return };
    for (server, pointer, kind) in [
        ("jwt-EdDSA-default", "/signup/body/token", ErrorKind::OpaqueToken),
        ("jwt-EdDSA-default", "/signup/set_auth_token", ErrorKind::OpaqueToken),
        ("cookie-compact", "/session_data_cookie/raw", ErrorKind::Malformed),
        ("cookie-jwt", "/session_data_cookie/raw", ErrorKind::UnsupportedAlgorithm),
        ("cookie-jwt-jwks", "/session_data_cookie/raw", ErrorKind::InvalidType),
        ("cookie-jwe", "/session_data_cookie/raw", ErrorKind::EncryptedToken),
        ("oauth-provider", "/access_token_jwt/raw", ErrorKind::InvalidType),
        ("oauth-provider", "/id_token/raw", ErrorKind::InvalidIssuer),
        ("oauth-provider", "/code_without_resource/json/access_token", ErrorKind::OpaqueToken),
    ] {
        let server = captured.server(server);
        let verdict = verdict::of(&server.verifier(), server.text(pointer));
        assert_eq!(verdict.err(), Some(kind), "{}{pointer}", server.name);
    }
    let cookie = captured.server("cookie-jwt");
    assert_eq!(
        verdict::of(&cookie.by_secret(), cookie.text("/session_data_cookie/raw")).err(),
        Some(ErrorKind::InvalidIssuer)
    );
}

#[test]
fn the_secret_never_verifies_a_token_of_the_keys() {
    let Some(captured) = Captured::read() else { return };
    for server in captured.servers().filter(|server| server.at("/jwt/header/alg") != Some("HS256")) {
        for token in server.api_tokens() {
            let verdict = verdict::of(
                &server.at_its_time(server.secret().insecure_any_issuer().insecure_any_audience().unwrap()),
                token,
            );
            assert_eq!(verdict.err(), Some(ErrorKind::UnsupportedAlgorithm), "{}", server.name);
        }
    }
}

#[test]
fn no_server_accepts_the_tokens_of_another() {
    let Some(captured) = Captured::read() else { return };
    for server in captured.servers() {
        for other in captured.servers().filter(|other| other.name != server.name) {
            for token in other.api_tokens() {
                for verifier in [server.verifier(), server.by_secret()] {
                    assert!(verdict::of(&verifier, token).is_err(), "{} accepts {}'s", server.name, other.name);
                }
            }
        }
    }
}

#[test]
fn access_tokens_are_accepted_only_with_the_access_token_profile() {
    let Some(captured) = Captured::read() else { return };
    let server = captured.server("oauth-provider");
    let issuer = format!("{}/api/auth", server.text("/baseURL"));
    let by_default = server
        .at_its_time(Verifier::builder(server.keys()).issuer(issuer).audience("https://api.example.test").unwrap());
    let access = by_default.clone().profile(Profile::AccessToken);
    let (token, id_token) = (server.text("/access_token_jwt/raw"), server.text("/id_token/raw"));

    assert_eq!(verdict::of(&by_default, token).err(), Some(ErrorKind::InvalidType));
    let claims = verdict::of(&access, token).expect("an access token for this API");
    assert_eq!(claims.user_id(), server.text("/access_token_jwt/payload/sub"));
    assert_eq!(verdict::of(&access, id_token).err(), Some(ErrorKind::InvalidType));
    assert_eq!(verdict::of(&by_default, id_token).err(), Some(ErrorKind::InvalidAudience));
    for server in captured.servers() {
        for token in server.api_tokens() {
            let verifier = server.verifier().profile(Profile::AccessToken);
            assert_eq!(verdict::of(&verifier, token).err(), Some(ErrorKind::InvalidType), "{}", server.name);
        }
    }
}

/// Tokens that Better Auth does not issue at a sign-up.
#[test]
fn other_tokens_of_better_auth_are_rejected() {
    let by_secret = Issuer::with_secret("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n");
    let any = Verifier::shared_secret("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n").expect("a strong secret");
    let any = any.insecure_any_issuer().insecure_any_audience().unwrap().clock(by_secret.clock());
    let times = by_secret.claims("ada");
    let (iat, exp) = (&times["iat"], &times["exp"]);
    for claims in [
        json!({ "email": "ada@example.test", "iat": iat, "exp": exp }),
        json!({ "email": "ada@example.test", "updateTo": "a@example.test", "userId": "ada", "iat": iat, "exp": exp }),
        json!({ "session": { "token": "t" }, "user": { "id": "ada" }, "version": "1", "iat": iat, "exp": exp }),
    ] {
        let token = by_secret.sign_with_header(&json!({ "alg": "HS256" }), &claims);
        assert_eq!(verdict::of(&any, &token).err(), Some(ErrorKind::InvalidClaims), "{claims}");
    }

    let issuer = Issuer::new();
    let mut logout = issuer.claims("ada");
    logout["events"] = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    for typ in ["logout+jwt", "better-auth.session-cache+jwt", "at+jwt", "dpop+jwt", "application/logout+jwt"] {
        let mut header = issuer.header();
        header["typ"] = typ.into();
        let token = issuer.sign_with_header(&header, &logout);
        assert_eq!(verdict::of(&issuer.verifier(), &token).err(), Some(ErrorKind::InvalidType), "{typ}");
    }
}

/// The captured data: one object for each server.
struct Captured(Value);

impl Captured {
    fn read() -> Option<Self> {
        let text = fs::read_to_string(shared_data::file("better-auth/tokens.json")?).expect("a readable file");
        Some(Self(serde_json::from_str(&text).expect("a JSON file")))
    }

    fn servers(&self) -> impl Iterator<Item = Server<'_>> {
        self.0.as_object().expect("an object").iter().map(|(name, data)| Server { name, data })
    }

    fn server(&self, name: &str) -> Server<'_> {
        self.servers().find(|server| server.name == name).unwrap_or_else(|| panic!("no server is called {name}"))
    }
}

#[derive(Clone, Copy)]
struct Server<'c> {
    name: &'c str,
    data: &'c Value,
}

impl<'c> Server<'c> {
    /// The verifier of an API for this server's users: with its secret if that signs the tokens, otherwise with its keys.
    fn verifier(self) -> Verifier {
        if self.at("/jwt/header/alg") == Some("HS256") {
            return self.by_secret();
        }
        self.at_its_time(
            Verifier::builder(self.keys()).issuer(self.issuer()).audience(self.audience()).expect("a verifier"),
        )
    }

    fn by_secret(self) -> Verifier {
        self.at_its_time(self.secret().issuer(self.issuer()).audience(self.audience()).expect("a verifier"))
    }

    fn at_its_time(self, verifier: Verifier) -> Verifier {
        let time = self.data.get("captured_at").or_else(|| self.data.pointer("/access_token_jwt/payload/iat"));
        verifier.clock(verdict::at(time.and_then(Value::as_u64).expect("a time")))
    }

    fn keys(self) -> KeySet {
        let raw = self.at("/jwks_response/raw").map(str::to_owned);
        let json = raw.or_else(|| self.data.get("jwks").map(Value::to_string)).expect("a key set");
        KeySet::from_json(json).expect("usable keys")
    }

    fn secret(self) -> VerifierBuilder<WantsIssuer> {
        Verifier::builder(SharedSecret::new(self.text("/secret")).expect("a strong secret"))
    }

    fn issuer(self) -> &'c str {
        self.at("/config/ISS").unwrap_or_else(|| self.text("/baseURL"))
    }

    fn audience(self) -> &'c str {
        let configured = self.at("/config/AUD").and_then(|audiences| audiences.split(',').next());
        configured.unwrap_or_else(|| self.text("/baseURL"))
    }

    /// The tokens from `GET /token` and from the header of `GET /get-session`.
    fn api_tokens(self) -> Vec<&'c str> {
        ["/jwt/raw", "/get_session/headers/set-auth-jwt"].iter().filter_map(|pointer| self.at(pointer)).collect()
    }

    /// Every string that the server issued, and its parts.
    fn strings(self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        collect(self.data, &mut found);
        found
    }

    fn text(self, pointer: &str) -> &'c str {
        self.at(pointer).unwrap_or_else(|| panic!("{} has no {pointer}", self.name))
    }

    fn at(self, pointer: &str) -> Option<&'c str> {
        self.data.pointer(pointer)?.as_str()
    }
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => collect_text(text, found),
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, found)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            collect_text(name, found);
            collect(value, found);
        }),
        _ => {}
    }
}

/// Collects a text, its percent-decoded form, the values of the cookies in it, and the strings of the JSON in it.
fn collect_text(text: &str, found: &mut BTreeSet<String>) {
    for part in [text].into_iter().chain(text.split([';', '=', ' ', ',']).filter(|part| !part.is_empty())) {
        found.insert(part.to_owned());
        found.insert(percent_decoded(part).into_owned());
    }
    if let Ok(nested @ (Value::Object(_) | Value::Array(_) | Value::String(_))) = serde_json::from_str(text) {
        collect(&nested, found);
    }
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

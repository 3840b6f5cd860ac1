use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::{Map, Value as Json, json};

use super::*;

fn claims(json: &str) -> Claims {
    let document = Document::parse(json).unwrap();
    let span = |name| document.find(name).and_then(Value::span);
    let subject = span("sub").unwrap_or_default();
    let spans = ClaimSpans { issuer: span("iss"), subject, user_id: subject, session_id: span("sid") };
    Claims { document, spans, expires_at: 2, valid_until: 32, issuers: Arc::default(), is_access_token: false }
}

const ADA: &str = r#"{"iat":1.5,"name":"Ada \"L\"","email":null,"sub":"ada","exp":2,"iss":"https://a","aud":["x","y\u007a"],
    "role":"admin","banned":false,"tags":["a","b"],"plan":{"kind":"pro"},"scope":"openid  tasks:read"}"#;

#[test]
fn the_claims_of_better_auth_have_accessors() {
    let claims = claims(ADA);
    assert_eq!(claims.user_id(), "ada");
    assert_eq!(claims.subject(), "ada");
    assert_eq!(claims.name(), Some("Ada \"L\""));
    assert_eq!(claims.email(), None);
    assert_eq!(claims.session_id(), None);
    assert_eq!(claims.issuer(), Some("https://a"));
    assert_eq!(claims.audiences(), ["x", "yz"]);
    assert_eq!(claims.issued_at(), Some(1));
    assert_eq!(claims.expires_at(), 2);
    assert_eq!(claims.scopes().collect::<Vec<_>>(), ["openid", "tasks:read"]);
    assert_eq!(claims.roles().collect::<Vec<_>>(), ["admin"]);
}

#[test]
fn roles_are_separated_by_commas() {
    for (role, roles) in [
        (json!("editor,admin"), vec!["editor", "admin"]),
        (json!(" editor , admin,,"), vec!["editor", "admin"]),
        (json!("content editor"), vec!["content editor"]),
        (json!(""), vec![]),
        (json!(null), vec![]),
        (json!(["admin"]), vec![]),
    ] {
        assert_eq!(claims(&json!({ "role": role }).to_string()).roles().collect::<Vec<_>>(), roles);
    }
    assert_eq!(claims("{}").roles().count(), 0);
}

#[test]
fn a_role_is_compared_as_a_whole() {
    let has_admin = |role: Json| claims(&json!({ "role": role }).to_string()).has_role("admin");
    assert!(has_admin(json!("admin")) && has_admin(json!("editor, admin")));
    for role in [json!("admin-trainee"), json!("Admin"), json!(""), json!(null), json!(["admin"]), json!(true)] {
        assert!(!has_admin(role.clone()), "{role}");
    }
}

#[test]
fn a_flag_that_is_absent_or_of_an_unexpected_type_has_the_restrictive_value() {
    let odd = [json!("true"), json!("false"), json!(""), json!(0), json!(1), json!([]), json!({ "is": true })];
    let with = |name: &str, value: &Json| claims(&json!({ name: value }).to_string());

    let verified = |value: &Json| with("emailVerified", value).is_email_verified();
    assert!(verified(&json!(true)) && !verified(&json!(false)) && !verified(&json!(null)));
    let anonymous = |value: &Json| with("isAnonymous", value).is_anonymous();
    assert!(anonymous(&json!(true)) && !anonymous(&json!(false)) && !anonymous(&json!(null)));
    let banned = |value: &Json| with("banned", value).is_banned();
    assert!(banned(&json!(true)) && !banned(&json!(false)) && !banned(&json!(null)));
    let impersonated = |value: &Json| with("impersonatedBy", value).is_impersonated();
    assert!(impersonated(&json!("grace")) && impersonated(&json!(false)) && !impersonated(&json!(null)));
    for value in &odd {
        assert!(!verified(value), "{value}");
        assert!(anonymous(value) && banned(value) && impersonated(value), "{value}");
    }
    let empty = claims("{}");
    assert!(!empty.is_email_verified() && empty.is_anonymous() && empty.is_banned() && empty.is_impersonated());
}

#[test]
fn any_other_claim_is_read_by_name() {
    let claims = claims(ADA);
    assert_eq!(claims.get::<String>("role").unwrap(), "admin");
    assert_eq!(claims.get::<&str>("role").unwrap(), "admin");
    assert!(!claims.get::<bool>("banned").unwrap());
    assert_eq!(claims.get::<Vec<String>>("tags").unwrap(), ["a", "b"]);
    assert_eq!(claims.get::<Option<String>>("absent").unwrap(), None);
    assert!(claims.get::<String>("absent").is_err());
    assert!(claims.get::<String>("banned").is_err());
    assert!(claims.get::<Option<String>>("banned").is_err(), "a wrong type is not an absent claim");
}

/// Whether serde_json and the claims agree: both read the same value, or neither reads one.
fn reads_like_serde_json<T: DeserializeOwned + PartialEq + fmt::Debug>(json: &str) -> bool {
    let theirs = serde_json::from_str::<T>(json).ok();
    assert_eq!(claims(json).deserialize::<T>().ok(), theirs, "{json}");
    theirs.is_some()
}

#[test]
fn custom_types_are_deserialised_as_by_serde_json() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Role {
        Admin,
        User,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Plan {
        Pro,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct UserId(String);
    #[derive(Debug, PartialEq, Deserialize)]
    struct Custom {
        sub: UserId,
        role: Role,
        email: Option<String>,
        absent: Option<u8>,
        plan: Plan,
        exp: u64,
        iat: f64,
        #[serde(flatten)]
        rest: BTreeMap<String, Json>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Newtype(Custom);
    #[derive(Debug, PartialEq, Deserialize)]
    struct NewtypeMap(Map<String, Json>);
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Person { name: String },
        Client { client_id: String },
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Large {
        n: u128,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Exact {
        #[allow(dead_code)]
        sub: String,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "sub", rename_all = "lowercase")]
    enum Tagged {
        Ada { exp: u64 },
    }
    assert!(reads_like_serde_json::<Custom>(ADA));
    assert!(reads_like_serde_json::<Newtype>(ADA));
    assert!(reads_like_serde_json::<NewtypeMap>(ADA));
    assert!(reads_like_serde_json::<Option<Custom>>(ADA));
    assert!(reads_like_serde_json::<BTreeMap<String, Json>>(ADA));
    assert!(reads_like_serde_json::<Json>(ADA));
    assert!(reads_like_serde_json::<Either>(ADA));
    assert!(reads_like_serde_json::<Either>(r#"{"client_id":"c"}"#));
    assert!(reads_like_serde_json::<Tagged>(ADA));
    assert!(reads_like_serde_json::<Large>(r#"{"n":340282366920938463463374607431768211455}"#));
    assert!(reads_like_serde_json::<Exact>(r#"{"sub":"a"}"#));
    assert!(!reads_like_serde_json::<Exact>(ADA));
    assert!(!reads_like_serde_json::<Custom>(r#"{"sub":1}"#));
    assert!(!reads_like_serde_json::<Vec<String>>(ADA));
    assert!(claims(r#"{"n":1e999}"#).deserialize::<BTreeMap<String, IgnoredAny>>().is_ok());
    assert_eq!(claims(r#"{"name":"Ada \"L\""}"#).get::<Cow<'_, str>>("name").unwrap(), "Ada \"L\"");
}

#[test]
fn an_error_names_the_claim_and_not_its_value() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Plan {
        seats: u32,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Custom {
        sub: String,
        role: String,
        plan: Option<Plan>,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Flat {
        #[serde(flatten)]
        custom: Custom,
    }
    for (json, claim) in [
        (r#"{"sub":"secret","role":7}"#, Some("role")),
        (r#"{"role":7,"sub":"secret"}"#, Some("role")),
        ("{\n  \"sub\": \"secret\",\n  \"role\": [7]\n}\n", Some("role")),
        (r#"{"sub":"secret"}"#, Some("role")),
        (r#"{}"#, Some("sub")),
        (r#"{"sub":"secret","role":"r","plan":{"seats":"secret"}}"#, Some("plan")),
        (r#"{"sub":"secret","role":"r","plan":{},"x":1}"#, Some("plan")),
        (r#"{"role":"r","plan":"secret","sub":"s"}"#, Some("plan")),
    ] {
        let error = claims(json).deserialize::<Custom>().unwrap_err();
        assert_eq!(error.claim(), claim, "{json}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{json}");
        let error = Error::from(error);
        assert_eq!((error.kind(), error.claim()), (ErrorKind::InvalidClaims, claim));
        assert!(!format!("{error} {error:?}").contains("secret"), "{json}");
        assert!(std::error::Error::source(&error).is_some());
    }
    assert_eq!(claims(r#"{"sub":"a"}"#).deserialize::<Flat>().unwrap_err().claim(), Some("role"));
    assert_eq!(claims(r#"{"sub":"a","role":7}"#).deserialize::<Flat>().unwrap_err().claim(), None);
    let hostile = claims(r#"{"sub":"a","x\u001b[2J":1}"#);
    let error = hostile.get::<String>("x\u{1b}[2J").unwrap_err();
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
}

#[test]
fn claims_of_another_type_count_as_absent() {
    let claims = claims(r#"{"sub":"ada","email":["a"],"name":{"first":"Ada"},"jti":7,"iat":"then","scope":1,"aud":7}"#);
    assert_eq!((claims.email(), claims.name(), claims.jti(), claims.issued_at()), (None, None, None, None));
    assert_eq!(claims.scopes().count() + claims.audiences().len(), 0);
}

#[test]
fn all_claims_are_listed_and_serialised() {
    let ada = claims(ADA);
    let names: Vec<_> = ada.iter().map(|(name, _)| name).collect();
    assert_eq!(names[..3], ["iat", "name", "email"]);
    assert_eq!(ada.iter().find(|(name, _)| *name == "role"), Some(("role", r#""admin""#)));
    let serialised: Json = serde_json::from_str(&serde_json::to_string(&ada).unwrap()).unwrap();
    assert_eq!(serialised, serde_json::from_str::<Json>(ADA).unwrap());
    assert_eq!(
        serde_json::to_value(claims(r#"{"s\u0075b":"a","x":[1,{"y":null}]}"#)).unwrap(),
        json!({"sub":"a","x":[1,{"y":null}]})
    );
}

#[test]
fn neither_debug_nor_errors_print_a_claim() {
    let claims = claims(r#"{"sub":"secret-user","exp":2}"#);
    assert_eq!(format!("{claims:?}"), r#"Claims["sub", "exp"]"#);
    let error = claims.get::<u8>("sub").unwrap_err();
    assert!(!format!("{error} ").contains("secret-user"));
    assert!(!format!("{error:?}").contains("secret-user"));
}

//! The changes that are applied to valid tokens.

use better_auth_jwt::{ErrorKind, test_util::Issuer};
use serde_json::Value;

use super::{NOW, ORIGIN, Reason};

/// A change of a token. If we reject the changed token and jose accepts it, `stricter` is the reason.
pub(super) struct Change {
    pub(super) name: String,
    pub(super) stricter: Option<Reason>,
    what: What,
}

enum What {
    /// The new value as JSON text, or `None` to remove the member.
    Header(&'static str, Option<String>),
    Claim(&'static str, Option<String>),
    HeaderText(TextEdit),
    ClaimsText(TextEdit),
    Token(TokenEdit),
}

type TextEdit = fn(&str) -> Vec<u8>;
type TokenEdit = fn(&str) -> String;

impl Change {
    /// Whether this change explains our error.
    pub(super) fn explains(&self, kind: ErrorKind) -> bool {
        self.stricter.is_some_and(|reason| reason.matches(kind))
    }

    fn because(mut self, reason: Reason) -> Self {
        self.stricter = Some(reason);
        self
    }
}

/// A token of this issuer with these changes.
pub(super) fn token(issuer: &Issuer, changes: &[&Change]) -> String {
    let (mut header, mut claims) = (members(&issuer.header()), valid_claims());
    for change in changes {
        match &change.what {
            What::Header(name, value) => set(&mut header, name, value.as_deref()),
            What::Claim(name, value) => set(&mut claims, name, value.as_deref()),
            _ => {}
        }
    }
    let (mut header, mut claims) = (object(&header), object(&claims));
    for change in changes {
        match change.what {
            What::HeaderText(edit) => apply(edit, &mut header),
            What::ClaimsText(edit) => apply(edit, &mut claims),
            _ => {}
        }
    }
    let mut token = issuer.sign_bytes(&header, &claims);
    for change in changes {
        if let What::Token(edit) = change.what {
            token = edit(&token);
        }
    }
    token
}

/// All changes.
pub(super) fn all() -> Vec<Change> {
    [header_changes(), date_changes(), claim_changes(), text_changes(), token_changes()].into_iter().flatten().collect()
}

fn header_changes() -> Vec<Change> {
    let mut changes = vec![
        header("kid", r#""""#),
        header("kid", r#""another""#),
        header("kid", "null").because(Reason::Type),
        header("kid", "1").because(Reason::Type),
        header("kid", r#"["k"]"#).because(Reason::Type),
        header("kid", &format!("\"{}\"", "k".repeat(257))).because(Reason::Size),
        header("x", &format!("\"{}\"", "x".repeat(2000))).because(Reason::Size),
        no_header("kid"),
        header("typ", r#""JWT""#),
        header("typ", r#""jWt""#),
        header("typ", r#""application/jwt""#),
        header("typ", r#""at+jwt""#).because(Reason::Typ),
        header("typ", r#""logout+jwt""#).because(Reason::Typ),
        header("typ", r#""better-auth.session-cache+jwt""#).because(Reason::Typ),
        header("typ", r#""""#).because(Reason::Typ),
        header("typ", "null").because(Reason::Type),
        header("typ", "7").because(Reason::Type),
        header("cty", r#""JWT""#).because(Reason::Nested),
        header("cty", r#""application/jwt""#).because(Reason::Nested),
        header("cty", r#""application/json""#),
        header("cty", "[]").because(Reason::Type),
        header("crit", r#"["b64"]"#),
        header("b64", "true").because(Reason::Critical),
        header("b64", "false").because(Reason::Critical),
        header("jwk", r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#),
        header("jku", r#""http://127.0.0.1:1/jwks""#),
        header("x5u", r#""file:///dev/null""#),
        header("x5c", r#"["MIIB"]"#),
        header("zip", r#""DEF""#),
        header("p2c", "2147483647"),
        header("x", &nested(31)),
        header("x", &nested(32)).because(Reason::Depth),
    ];
    for alg in ["none", "None", "", "HS256", "HS512", "RS256", "PS256", "ES256", "EdDSA", "Ed25519", "Ed448", "dir"] {
        changes.push(header("alg", &format!("\"{alg}\"")));
    }
    for alg in ["null", "1", r#"["HS256"]"#, "{}"] {
        changes.push(header("alg", alg));
    }
    for crit in ["[]", "null", "true", r#""b64""#, r#"["exp"]"#, r#"["x"]"#, r#"["alg"]"#, r#"["b64","b64"]"#, "[1]"] {
        changes.push(header("crit", crit));
    }
    changes.push(no_header("alg"));
    changes
}

fn date_changes() -> Vec<Change> {
    let mut changes = vec![
        date("exp", NOW - 31, ""),
        date("exp", NOW - 30, ""),
        date("exp", NOW - 30, ".5").because(Reason::Fraction),
        date("exp", NOW - 30, ".000"),
        date("exp", NOW - 29, ""),
        date("exp", NOW - 29, ".999"),
        claim("exp", "1.8000009e9"),
        claim("exp", "18000009E2"),
        claim("exp", "18000009000e-1"),
        claim("exp", "0"),
        claim("exp", "-1"),
        claim("exp", "253402300799"),
        claim("exp", "253402300800").because(Reason::Date),
        claim("exp", "1800000900000").because(Reason::Date),
        claim("exp", "9007199254740993").because(Reason::Date),
        claim("exp", "18446744073709551616").because(Reason::Date),
        claim("exp", "1e999").because(Reason::Date),
        no_claim("exp"),
        date("nbf", NOW, ""),
        date("nbf", NOW + 29, ".5"),
        date("nbf", NOW + 30, ""),
        date("nbf", NOW + 30, ".5"),
        date("nbf", NOW + 31, ""),
        claim("nbf", "0"),
        claim("nbf", "-0").because(Reason::Date),
        claim("nbf", "-1").because(Reason::Date),
        claim("nbf", "1e999"),
        date("iat", NOW + 30, ""),
        date("iat", NOW + 30, ".5").because(Reason::Future),
        date("iat", NOW + 31, "").because(Reason::Future),
        date("iat", NOW - 1_000_000, ""),
        claim("iat", "-1").because(Reason::Date),
        claim("iat", "253402300800").because(Reason::Date),
        no_claim("iat"),
    ];
    for name in ["exp", "nbf", "iat"] {
        for value in [r#""1800000900""#, r#""never""#, "null", "true", "[]", "[1800000900]", "{}"] {
            changes.push(claim(name, value));
        }
    }
    changes
}

fn claim_changes() -> Vec<Change> {
    let several = |count: usize| format!(r#"["{ORIGIN}"{}]"#, r#","https://b.example""#.repeat(count - 1));
    let mut changes = vec![
        no_claim("iss"),
        no_claim("aud"),
        no_claim("sub"),
        claim("aud", &format!(r#"["{ORIGIN}"]"#)),
        claim("aud", &format!(r#"["https://b.example","{ORIGIN}"]"#)),
        claim("aud", &format!(r#"["https://app.exampl\u0065.com","{ORIGIN}"]"#)),
        claim("aud", r#"["https://b.example"]"#),
        claim("aud", &format!(r#"[1,"{ORIGIN}"]"#)).because(Reason::Audience),
        claim("aud", &format!(r#"["","{ORIGIN}"]"#)).because(Reason::Audience),
        claim("aud", &format!(r#"[null,"{ORIGIN}"]"#)).because(Reason::Audience),
        claim("aud", &format!(r#"[["{ORIGIN}"],"{ORIGIN}"]"#)).because(Reason::Audience),
        claim("aud", &several(64)),
        claim("aud", &several(65)).because(Reason::Audience),
        claim("sub", r#""bob""#),
        claim("sub", r#"" ""#),
        claim("sub", r#""\u0000""#),
        claim("sub", r#""é😀\ud83d\ude00""#),
        claim("sub", r#""""#).because(Reason::NoUser),
        claim("sub", "null").because(Reason::Type),
        claim("sub", "123").because(Reason::Type),
        claim("sub", r#"["ada"]"#).because(Reason::Type),
        claim("sub", r#"{"id":"ada"}"#).because(Reason::Type),
        claim("jti", r#""7""#),
        claim("jti", "7"),
        claim("email", "null"),
        claim("email", "7"),
        claim("name", "[]"),
        claim("cnf", r#"{"jkt":"x"}"#).because(Reason::KeyBound),
        claim("sid", r#""s""#),
        claim("sid", "{}").because(Reason::Type),
        claim("client_id", r#""a-client""#),
        claim("client_id", r#""ada""#).because(Reason::Client),
        claim("azp", r#""ada""#).because(Reason::Client),
        claim("azp", "7"),
        claim("userId", r#""bob""#),
        claim("__proto__", r#"{"sub":"bob"}"#),
        claim("constructor", "null"),
        claim("x", r#"{"a":[1,-2.5e-7,true,false,null,"\"\\\/\b\f\n\r\t\u2028"]}"#),
        claim("x", &nested(31)),
        claim("x", &nested(32)).because(Reason::Depth),
        claim("x", &format!("\"{}\"", "x".repeat(8192))).because(Reason::Size),
    ];
    for issuer in [r#""""#, r#""https://b.example""#, r#""https://app.example.com/""#, r#""https://APP.example.com""#] {
        changes.push(claim("iss", issuer));
        changes.push(claim("aud", issuer));
    }
    for wrong in
        ["null", "7", "true", "[]", "{}", r#"{"0":"https://app.example.com"}"#, r#"[["https://app.example.com"]]"#]
    {
        changes.push(claim("iss", wrong));
        changes.push(claim("aud", wrong));
    }
    changes.push(claim("iss", &format!(r#"["{ORIGIN}"]"#)));
    changes
}

/// Texts that parsers interpret differently.
fn text_changes() -> Vec<Change> {
    let twice = Some(Reason::Duplicate);
    let lenient = Some(Reason::Text);
    let edits: [(&str, Option<Reason>, TextEdit); 20] = [
        ("whitespace", None, |text| text.replace(',', " ,\r\n\t").into_bytes()),
        ("surrounding whitespace", None, |text| format!(" {text}\n").into_bytes()),
        ("escaped names", None, |text| text.replace("\"a", "\"\\u0061").into_bytes()),
        ("a member twice", twice, |text| text.replacen('{', r#"{"x":1,"x":1,"#, 1).into_bytes()),
        ("a member twice, once escaped", twice, |text| text.replacen('{', r#"{"x":1,"\u0078":1,"#, 1).into_bytes()),
        ("a member twice, deeper", twice, |text| text.replacen('{', r#"{"y":[{"x":1,"x":1}],"#, 1).into_bytes()),
        ("an empty name", None, |text| text.replacen('{', r#"{"":0,"#, 1).into_bytes()),
        ("half a surrogate pair", lenient, |text| text.replacen('{', r#"{"z":"\ud83d","#, 1).into_bytes()),
        ("the other half", lenient, |text| text.replacen('{', r#"{"z":"\ude00","#, 1).into_bytes()),
        ("invalid UTF-8", None, |text| [b"{\"z\":\"\xff\",", text.replacen('{', "", 1).as_bytes()].concat()),
        ("UTF-8 of a surrogate", None, |text| {
            [b"{\"z\":\"\xed\xa0\x80\",", text.replacen('{', "", 1).as_bytes()].concat()
        }),
        ("a byte order mark", lenient, |text| format!("\u{feff}{text}").into_bytes()),
        ("UTF-16", None, |text| text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a control character", None, |text| text.replacen('{', "{\"z\":\"\u{1}\",", 1).into_bytes()),
        ("a trailing comma", None, |text| text.replace('}', ",}").into_bytes()),
        ("a comment", None, |text| format!("{text}//").into_bytes()),
        ("a trailing object", None, |text| format!("{text}{{}}").into_bytes()),
        ("an array", None, |text| format!("[{text}]").into_bytes()),
        ("single quotes", None, |text| text.replace('"', "'").into_bytes()),
        ("nothing", None, |_| Vec::new()),
    ];
    let of_header = edits.iter().map(|(name, stricter, edit)| Change {
        name: format!("header: {name}"),
        stricter: *stricter,
        what: What::HeaderText(*edit),
    });
    let of_claims = edits.iter().map(|(name, stricter, edit)| Change {
        name: format!("claims: {name}"),
        stricter: *stricter,
        what: What::ClaimsText(*edit),
    });
    let of_one = [
        Change {
            name: "header: alg twice".to_owned(),
            stricter: twice,
            what: What::HeaderText(|text| text.replacen('{', r#"{"alg":"none","#, 1).into_bytes()),
        },
        Change {
            name: "claims: sub twice".to_owned(),
            stricter: twice,
            what: What::ClaimsText(|text| text.replacen('{', r#"{"sub":"bob","#, 1).into_bytes()),
        },
    ];
    of_header.chain(of_claims).chain(of_one).collect()
}

fn token_changes() -> Vec<Change> {
    let lenient = Some(Reason::Base64);
    let edits: [(&str, Option<Reason>, TokenEdit); 16] = [
        ("padding", lenient, |token| {
            let signature = token.rsplit('.').next().map_or(0, str::len);
            format!("{token}{}", "=".repeat((4 - signature % 4) % 4))
        }),
        ("a non-zero unused bit in the last character", lenient, |token| {
            let last = token.chars().last();
            let other = last.and_then(|last| char::from_u32(u32::from(last) + 1)).filter(char::is_ascii_alphanumeric);
            format!("{}{}", token.get(..token.len() - 1).unwrap_or_default(), other.unwrap_or('B'))
        }),
        ("the base64 alphabet", None, |token| token.replace('-', "+").replace('_', "/")),
        ("a trailing space", lenient, |token| format!("{token} ")),
        ("a trailing line feed", lenient, |token| format!("{token}\n")),
        ("a leading space", None, |token| format!(" {token}")),
        ("a trailing dot", None, |token| format!("{token}.")),
        ("a leading dot", None, |token| format!(".{token}")),
        ("no signature", None, |token| {
            token.rsplit_once('.').map_or(String::new(), |(signed, _)| format!("{signed}."))
        }),
        ("two parts", None, |token| token.rsplit_once('.').map_or(String::new(), |(signed, _)| signed.to_owned())),
        ("five parts", None, |token| format!("{token}.AA.AA")),
        ("another signature", None, |token| format!("{}AAAA", token.get(..token.len() - 4).unwrap_or_default())),
        ("a longer signature", None, |token| format!("{token}AAAA")),
        ("other claims", None, |token| token.replacen(".eyJ", ".eyK", 1)),
        ("the signature of nothing", None, |token| token.replace('.', "..")),
        ("in upper case", None, str::to_uppercase),
    ];
    let change =
        |(name, stricter, edit): (&str, _, _)| Change { name: name.to_owned(), stricter, what: What::Token(edit) };
    edits.into_iter().map(change).collect()
}

fn header(name: &'static str, value: &str) -> Change {
    let what = What::Header(name, Some(value.to_owned()));
    Change { name: format!("header {name}: {value:.80}"), stricter: None, what }
}

fn no_header(name: &'static str) -> Change {
    Change { name: format!("no header {name}"), stricter: None, what: What::Header(name, None) }
}

fn claim(name: &'static str, value: &str) -> Change {
    let what = What::Claim(name, Some(value.to_owned()));
    Change { name: format!("claim {name}: {value:.80}"), stricter: None, what }
}

fn no_claim(name: &'static str) -> Change {
    Change { name: format!("no claim {name}"), stricter: None, what: What::Claim(name, None) }
}

fn date(name: &'static str, seconds: u64, fraction: &str) -> Change {
    claim(name, &format!("{seconds}{fraction}"))
}

/// Nested arrays. The object around them counts as one more level.
fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

type Members = Vec<(String, String)>;

fn valid_claims() -> Members {
    members(&serde_json::json!({
        "iat": NOW, "name": "Ada Lovelace", "email": "ada@example.com", "emailVerified": false, "image": null,
        "id": "ada", "sub": "ada", "exp": NOW + 900, "iss": ORIGIN, "aud": ORIGIN,
    }))
}

fn members(object: &Value) -> Members {
    object.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.to_string())).collect()
}

fn set(members: &mut Members, name: &str, value: Option<&str>) {
    members.retain(|(other, _)| other != name);
    members.extend(value.map(|value| (name.to_owned(), value.to_owned())));
}

fn object(members: &Members) -> Vec<u8> {
    let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

/// Applies an edit, unless an earlier edit has made the text invalid UTF-8.
fn apply(edit: TextEdit, text: &mut Vec<u8>) {
    if let Ok(readable) = str::from_utf8(text) {
        *text = edit(readable);
    }
}

//! The table of versions, which is in the documentation.

use std::{env, fs, path::Path};

use serde_json::Value;

const FILES: [&str; 2] = ["README.md", "crates/better-auth-jwt/src/better_auth_versions.md"];
const BEGIN: &str = "<!-- table of versions: written by a test, see CONTRIBUTING.md -->\n";
const END: &str = "<!-- end of the table of versions -->\n";

/// Declares the rows in the order of the table, with their text.
macro_rules! rows {
    ($($row:ident: $text:literal,)+) => {
        /// A check, which is a row of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Row {
            $($row),+
        }

        const ROWS: &[(Row, &str)] = &[$((Row::$row, $text)),+];
    };
}

rows! {
    Token: "Sign up, fetch the JWT from `/token`: `POST` 201, `GET` 200",
    SessionJwt: "The JWT in `set-auth-jwt` of `/get-session`: 201, 200",
    OtherUser: "The path of another user: 403. No token: 401",
    EdDsa: "Signed with EdDSA, the default",
    Es256: "ES256",
    Es512: "ES512",
    Rs256: "RS256",
    Ps256: "PS256",
    SharedSecret: "HS256, by a `sign` function",
    DefaultIds: "User ids of 32 letters and digits, the default",
    Uuids: "User ids `\"uuid\"`",
    SerialIds: "User ids `\"serial\"`",
    BaseUrlPath: "`baseURL` with a path",
    TrailingSlash: "`baseURL` with a trailing slash",
    BasePath: "`basePath`",
    JwksPath: "`jwksPath`, and its URL configured in the API",
    SevenDays: "`expirationTime: \"7d\"`",
    Rotation: "After a key rotation, tokens of the new key and of the old key: 200",
    Exchange: "Session token or session cookie in place of a JWT, with `SessionExchange`: 201, 200",
    Logout: "Signing out, with the plugin `better-auth-logout`: 401 for this session's JWTs, 200 for those of other sessions",
    LegacyAccessToken: "OAuth access token, with `Profile::LegacyAccessToken`: 200",
    AccessToken: "OAuth access token, with `Profile::AccessToken` or `BetterAuth::access_tokens`: 200",
    AccessTokenIsNoJwt: "OAuth access token, where only JWTs of `/token` are expected: 401",
    Dpop: "OAuth access token bound to a key (DPoP), without its proof: 401",
    OAuthIdToken: "ID token of `@better-auth/oauth-provider`: 401",
    OidcIdToken: "ID token of the plugin `oidcProvider`: 401",
    SessionTokens: "Session token, with or without its signature: 401",
    CompactCache: "Cookie cache `\"compact\"`: 401",
    JwtCache: "Cookie cache `\"jwt\"`: 401",
    EncryptedCache: "Cookie cache `\"jwe\"`: 401",
    SignedCache: "Cookie cache signed with the JWT plugin's keys: 401",
}

/// Compares the table in the documentation with what was run, or writes it if `WRITE_VERSIONS` is set.
pub(super) fn check(columns: &[(&str, Vec<Row>)]) {
    let table = table(columns);
    for file in FILES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{file} has no table of versions"));
        let (current, after) = rest.split_once(END).unwrap_or_else(|| panic!("the table in {file} has no end"));
        if env::var_os("WRITE_VERSIONS").is_some() {
            fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).expect("a writable file");
        } else {
            assert!(current == table, "see CONTRIBUTING.md; the table in {file} should be\n{table}");
        }
    }
}

fn table(columns: &[(&str, Vec<Row>)]) -> String {
    let provider = "@better-auth/oauth-provider";
    let mut lines = vec![
        line("Better Auth", columns, |(name, _)| pinned(name, "better-auth")),
        line("---", columns, |_| "---".to_owned()),
    ];
    lines.extend(
        ROWS.iter().map(|(row, text)| {
            line(text, columns, |(_, passed)| if passed.contains(row) { "✓" } else { "–" }.to_owned())
        }),
    );
    lines.push(line(&format!("Version of `{provider}`"), columns, |(name, _)| {
        pinned(&format!("{name}/oauth-provider"), provider)
    }));
    format!("\n{}\n\n", lines.join("\n"))
}

fn line<'c, C>(text: &str, columns: &'c [C], cell: impl Fn(&'c C) -> String) -> String {
    let cells: Vec<String> = columns.iter().map(cell).collect();
    format!("| {text} | {} |", cells.join(" | "))
}

/// The version of the package that is installed in this directory.
fn pinned(directory: &str, package: &str) -> String {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("better-auth").join(directory);
    let text = fs::read_to_string(home.join("node_modules").join(package).join("package.json"));
    let manifest: Value = serde_json::from_str(&text.expect("an installed package")).expect("JSON");
    manifest["version"].as_str().expect("a version").to_owned()
}

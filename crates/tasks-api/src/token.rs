//! `token`: signs a token like Better Auth's.

use std::{
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use clap::Args;
use jsonwebtoken::{EncodingKey, Header};
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::config::{AuthConfig, duration};

#[derive(Args)]
pub(crate) struct TokenArgs {
    /// The user's id in Better Auth
    user: String,
    /// How long the token is valid
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration)]
    expires: Duration,
    /// The session's id, for the token's `sid`
    #[arg(long, value_name = "SID")]
    session: Option<String>,
}

pub(crate) fn print(args: &TokenArgs, config: &AuthConfig) -> anyhow::Result<()> {
    let token = sign(&args.user, args.expires, args.session.as_deref(), config)?;
    writeln!(io::stdout(), "{token}").context("cannot write to standard output")
}

/// A token like Better Auth's, signed with the first secret.
pub(crate) fn sign(
    user: &str,
    expires: Duration,
    session: Option<&str>,
    config: &AuthConfig,
) -> anyhow::Result<String> {
    ensure!((1..=255).contains(&user.len()), "a user id has 1 to 255 bytes");
    let secret = config.secrets.first().context("no secret to sign with: set BETTER_AUTH_SECRET")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let exp = now.saturating_add(expires.as_secs());
    ensure!(exp < YEAR_10000, "--expires reaches beyond the year 9999: choose a shorter time, for instance 7d");
    let claims = Claims {
        sub: user,
        sid: session,
        iat: now,
        exp,
        iss: config.issuers.first().map(String::as_str),
        aud: config.audiences.first().map(String::as_str),
    };
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.expose_secret().as_bytes()))
        .context("cannot sign the token")
}

/// Verifiers reject later dates.
const YEAR_10000: u64 = 253_402_300_800;

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

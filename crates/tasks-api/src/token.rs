use std::{
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;

use crate::{cli::Failure, config::AuthConfig, config::duration};

#[derive(Args)]
pub(crate) struct TokenArgs {
    /// The user's id, as Better Auth knows it
    user: String,
    /// How long the token is good for
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration)]
    expires: Duration,
    /// The session's id, for the token's `sid`
    #[arg(long, value_name = "SID")]
    session: Option<String>,
}

pub(crate) fn print(args: &TokenArgs, config: &AuthConfig) -> Result<(), Failure> {
    let token = sign(&args.user, args.expires, args.session.as_deref(), config)?;
    writeln!(io::stdout(), "{token}")
        .map_err(|error| Failure::new(format!("cannot write to standard output: {error}.")))
}

/// A token like Better Auth's, signed with the first secret.
pub(crate) fn sign(
    user: &str,
    expires: Duration,
    session: Option<&str>,
    config: &AuthConfig,
) -> Result<String, Failure> {
    if user.is_empty() || user.len() > 255 {
        return Err(Failure::new("a user id has 1 to 255 bytes."));
    }
    let secret =
        config.secrets.first().ok_or_else(|| Failure::new("no secret to sign with: set BETTER_AUTH_SECRET."))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let exp = now.saturating_add(expires.as_secs());
    if exp >= YEAR_10000 {
        return Err(Failure::new("--expires reaches beyond the year 9999: choose a shorter time, for instance 7d."));
    }
    let claims = Claims {
        sub: user,
        sid: session,
        iat: now,
        exp,
        iss: config.issuer.as_deref(),
        aud: config.audience.as_deref(),
    };
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.expose().as_bytes()))
        .map_err(|error| Failure::new(format!("cannot sign the token: {error}.")))
}

/// No verifier takes a later date.
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

//! Real Better Auth servers of every supported line: which checks they pass is the table in the documentation.

mod jwt;
mod oauth;
mod sessions;
mod table;

use system_tests::{Issuer, Signing, node};

use self::table::Row;

#[tokio::test]
async fn every_supported_line_passes_the_checks_in_the_table() {
    if !node::ready() {
        return;
    }
    let running = node::LINES.map(|line| (line, tokio::spawn(passed_by(line))));
    let mut columns = Vec::new();
    for (line, passed) in running {
        let passed = passed.await.unwrap_or_else(|_| panic!("Better Auth {line} fails the check above"));
        columns.push((line, passed));
    }
    table::check(&columns);
}

/// Runs all checks with a line, and returns them. A check that fails panics.
async fn passed_by(line: &'static str) -> Vec<Row> {
    let mut passed = jwt::default_settings(line).await;
    passed.extend(jwt::es256_uuids_and_a_base_url_with_a_path(line).await);
    passed.extend(jwt::es512_serial_ids_and_a_trailing_slash(line).await);
    passed.extend(jwt::rs256_and_another_base_path(line).await);
    passed.extend(jwt::ps256_and_another_jwks_path(line).await);
    passed.extend(jwt::rotation(line).await);
    passed.extend(jwt::shared_secret(line).await);
    passed.extend(sessions::exchange(line).await);
    passed.extend(sessions::logout(line).await);
    passed.extend(oauth::access_tokens_of_any_version(line).await);
    if ["1.4", "1.5", "1.6"].contains(&line) {
        passed.extend(oauth::id_tokens_of_the_old_plugin(line).await);
    } else {
        passed.extend(jwt::cookie_cache_signed_with_the_keys(line).await);
        passed.extend(oauth::access_tokens_and_dpop(line).await);
    }
    passed
}

/// A server of this line with these settings of `issuer.mjs`.
fn issuer<const N: usize>(line: &'static str, settings: [(&str, &str); N]) -> Issuer {
    let issuer = Issuer::new(Signing::KeyPairs).line(line);
    settings.into_iter().fold(issuer, |issuer, (name, value)| issuer.with(name, value))
}

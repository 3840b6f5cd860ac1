//! Real Better Auth servers of every supported line: which checks they pass is the table in the documentation.

mod jwt;
mod oauth;
mod table;

use futures_util::future::join_all;
use system_tests::{Issuer, Signing, node};

use self::table::Row;

/// One server of a line, or a few, and the checks that they pass. A check that fails panics.
macro_rules! passed {
    ($line:expr, $($checks:path),+ $(,)?) => {
        [$(Box::pin($checks($line)).await),+].concat()
    };
}

#[tokio::test]
async fn every_supported_line_passes_the_checks_in_the_table() {
    if !node::ready() {
        return;
    }
    let columns = join_all(node::LINES.map(|line| async move { (line, passed_by(line).await) })).await;
    table::check(&columns);
}

async fn passed_by(line: &'static str) -> Vec<Row> {
    let mut passed = passed!(
        line,
        jwt::default_settings,
        jwt::es256_uuids_and_a_base_url_with_a_path,
        jwt::es512_serial_ids_and_a_trailing_slash,
        jwt::rs256_and_another_base_path,
        jwt::ps256_and_another_jwks_path,
        jwt::rotation,
        jwt::shared_secret,
        oauth::access_tokens_of_any_version,
    );
    if line == "1.7" {
        passed.extend(passed!(line, jwt::cookie_cache_signed_with_the_keys, oauth::access_tokens_and_dpop));
    } else {
        passed.extend(passed!(line, oauth::id_tokens_of_the_old_plugin));
    }
    passed
}

/// A server of this line with these settings of `issuer.mjs`.
fn issuer<const N: usize>(line: &'static str, settings: [(&str, &str); N]) -> Issuer {
    let issuer = Issuer::new(Signing::KeyPairs).line(line);
    settings.into_iter().fold(issuer, |issuer, (name, value)| issuer.with(name, value))
}

//! A Better Auth server that rotates its key every few seconds, under constant load.

use std::time::{Duration, Instant};

use better_auth_jwt::{ErrorKind, Verifier, keys::RemoteKeySet};
use system_tests::{BetterAuth, Issuer, Signing, node};

fn verifier(auth: &BetterAuth, fresh: Duration) -> (Verifier, RemoteKeySet) {
    let url = format!("{}/api/auth/jwks", auth.url());
    let keys = RemoteKeySet::builder(url)
        .refetch_limit(3, Duration::from_millis(500))
        .default_max_age(fresh)
        .build()
        .expect("a loopback URL");
    (Verifier::builder(keys.clone()).issuer(auth.url()).audience(auth.url()).expect("a verifier"), keys)
}

fn header(token: &str) -> String {
    token.split('.').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn no_valid_token_is_rejected_while_keys_rotate() {
    if !node::ready() {
        return;
    }
    let auth = Issuer::new(Signing::KeyPairs).with("ROTATION_INTERVAL", 2).start().await;
    let ada = auth.sign_up("Ada").await;
    let (verifier, keys) = verifier(&auth, Duration::from_secs(600));
    let (mut tokens, mut headers) = (vec![ada.token.clone()], vec![header(&ada.token)]);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(9) {
        let token = auth.token(&ada.cookie).await;
        if !headers.contains(&header(&token)) {
            headers.push(header(&token));
            tokens.push(token.clone());
        }
        // Verify the newest token eight times concurrently, and one token of every key so far.
        let newest = (0..8).map(|_| {
            let (verifier, token) = (verifier.clone(), token.clone());
            tokio::spawn(async move { verifier.verify(&token).await.map(|_| ()) })
        });
        for outcome in newest.collect::<Vec<_>>() {
            outcome
                .await
                .expect("no panic")
                .unwrap_or_else(|error| panic!("rejected after {:?}: {error}", start.elapsed()));
        }
        for token in &tokens {
            verifier
                .verify(token)
                .await
                .unwrap_or_else(|error| panic!("rejected after {:?}: {error}", start.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(headers.len() >= 4, "{} keys in nine seconds", headers.len());
    // One fetch for the first key, and one for each new key.
    assert_eq!(keys.status().fetches_ok as usize, headers.len());
}

#[tokio::test]
async fn tokens_of_a_removed_key_are_rejected_after_the_next_refresh() {
    if !node::ready() {
        return;
    }
    let auth = Issuer::new(Signing::KeyPairs).with("ROTATION_INTERVAL", 1).with("GRACE_PERIOD", 2).start().await;
    let ada = auth.sign_up("Ada").await;
    let (verifier, keys) = verifier(&auth, Duration::from_secs(1));
    assert!(verifier.verify(&ada.token).await.is_ok());
    let start = Instant::now();
    let rejected = loop {
        // Better Auth creates a new key only when it issues a token.
        let newest = auth.token(&ada.cookie).await;
        assert!(verifier.verify(&newest).await.is_ok(), "after {:?}", start.elapsed());
        if let Err(error) = verifier.verify(&ada.token).await {
            break error;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "still accepted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(rejected.kind(), ErrorKind::UnknownKey);
    assert!(start.elapsed() > Duration::from_secs(2), "before its grace period was over");
    assert!(keys.status().fetch_errors.is_empty());
}

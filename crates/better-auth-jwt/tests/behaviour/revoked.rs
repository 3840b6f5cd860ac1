//! The list of revoked sessions: its entries, their retention, and its capacity.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Wake},
    thread,
    time::Duration,
};

use better_auth_jwt::{
    BetterAuth, Claims, Clock, LogoutVerifier, RevokedSessions, SessionCheck, SessionState, Verifier,
    keys::KeySet,
    test_util::{self, Issuer},
};
use futures_util::FutureExt;
use serde_json::json;
use tokio::{task::JoinHandle, time::timeout};

const RETENTION: u64 = 930;

/// The default leeway, of the verifier and of the list.
const LEEWAY: u64 = 30;

struct Scene {
    issuer: Issuer,
    revoked: RevokedSessions,
}

impl Scene {
    fn with_max_entries(entries: usize) -> Self {
        let issuer = Issuer::with_secret([7; 32]);
        let revoked = RevokedSessions::new(Duration::from_secs(RETENTION)).max_entries(entries).clock(issuer.clock());
        Self { issuer, revoked }
    }

    fn now(&self) -> u64 {
        self.issuer.clock().unix_time()
    }

    fn advance(&self, seconds: u64) {
        self.issuer.clock().advance(Duration::from_secs(seconds));
    }

    fn revoke(&self, session: &str) -> bool {
        self.revoked.revoke_session_at(self.issuer.origin(), session, self.now()).is_ok()
    }

    async fn claims(&self, user: &str, session: &str) -> Arc<Claims> {
        self.issuer.verifier().verify(&self.issuer.token_with_session(user, session)).await.unwrap()
    }

    async fn is_revoked(&self, session: &str) -> bool {
        let claims = self.claims("ada", session).await;
        self.revoked.check(&claims) == SessionState::Revoked
    }
}

#[tokio::test]
async fn a_full_list_returns_an_error_and_evicts_no_active_entry() {
    let scene = Scene::with_max_entries(3);
    let (revoked, issuer) = (&scene.revoked, scene.issuer.origin());
    assert!(scene.revoke("one") && scene.revoke("two"));
    revoked.revoke_user_at(issuer, "bob", scene.now()).unwrap();
    assert!(!scene.revoke("three"));
    let error = revoked.revoke_user(issuer, "eve").unwrap_err();
    assert_eq!(error.to_string(), "the list of revoked sessions is full; see RevokedSessions::max_entries");
    assert!(scene.revoke("one"), "it is in the list already");
    revoked.revoke_user_at(issuer, "bob", scene.now()).unwrap();
    assert_eq!(revoked.len(), 3);
    assert!(scene.is_revoked("one").await && scene.is_revoked("two").await && !scene.is_revoked("three").await);
    scene.advance(RETENTION - 1);
    assert!(!scene.revoke("three"));
    scene.advance(1);
    assert!(scene.revoke("three"));
    assert_eq!(revoked.len(), 1, "expired entries make room");
    assert!(scene.is_revoked("three").await && !scene.is_revoked("one").await);
}

#[tokio::test]
async fn a_repeat_never_shortens_an_entry() {
    let scene = Scene::with_max_entries(10);
    let (revoked, issuer, start) = (&scene.revoked, scene.issuer.origin(), scene.now());
    revoked.revoke_session_at(issuer, "phone", start).unwrap();
    revoked.revoke_session_at(issuer, "phone", start - 500).unwrap();
    revoked.revoke_user_at(issuer, "ada", start - 10).unwrap();
    revoked.revoke_user_at(issuer, "ada", start - 500).unwrap();
    scene.advance(RETENTION - 11);
    let mut old = scene.issuer.claims("ada");
    old["iat"] = (start - 10).into();
    let old = scene.issuer.verifier().verify(&scene.issuer.sign(&old)).await.unwrap();
    assert_eq!(revoked.check(&old), SessionState::Revoked);
    scene.advance(10);
    assert!(scene.is_revoked("phone").await);
    revoked.revoke_session_at(issuer, "phone", start + 100).unwrap();
    scene.advance(100);
    assert!(scene.is_revoked("phone").await);
    scene.advance(1);
    assert!(!scene.is_revoked("phone").await);
}

#[tokio::test]
async fn a_stored_revocation_expires_by_its_own_time() {
    let scene = Scene::with_max_entries(10);
    let now = scene.now();
    for (session, revoked_at) in
        [("new", now - 1), ("old", now - RETENTION + 1), ("past", now - RETENTION), ("ages", 0)]
    {
        scene.revoked.revoke_session_at(scene.issuer.origin(), session, revoked_at).unwrap();
    }
    assert_eq!(scene.revoked.len(), 2, "an expired revocation is not added");
    assert!(scene.is_revoked("new").await && scene.is_revoked("old").await);
    scene.advance(1);
    assert!(scene.is_revoked("new").await && !scene.is_revoked("old").await);
}

#[tokio::test]
async fn expired_entries_are_removed_as_others_are_added() {
    let scene = Scene::with_max_entries(1_000_000);
    for n in 0..100_000 {
        assert!(scene.revoke(&format!("session-{n}")));
        if n % 10 == 0 {
            scene.advance(1);
        }
    }
    // 10 a second are kept for 930 seconds.
    assert!(scene.revoked.len() <= 9_300 + 10, "{}", scene.revoked.len());
    assert!(scene.is_revoked("session-99999").await && scene.is_revoked("session-91000").await);
    assert!(!scene.is_revoked("session-90000").await);
}

#[tokio::test]
async fn a_full_list_takes_a_new_entry_for_each_expired_one() {
    let scene = Scene::with_max_entries(1000);
    let start = scene.now();
    for n in 0..1000 {
        scene.revoked.revoke_session_at(scene.issuer.origin(), &format!("old-{n}"), start - 900 + n).unwrap();
        // Extended, so that it does not expire in the order in which it was added.
        if n % 2 == 0 {
            scene.revoked.revoke_session_at(scene.issuer.origin(), &format!("old-{n}"), start + 1000).unwrap();
        }
    }
    assert!(!scene.revoke("new"));
    scene.advance(35);
    let added = (0..1000).take_while(|n| scene.revoke(&format!("new-{n}"))).count();
    assert_eq!(added, 3, "those revoked at 1, 3 and 5 seconds after the first have expired");
}

#[tokio::test]
async fn a_revocation_in_one_thread_is_visible_in_the_others() {
    let scene = Scene::with_max_entries(1_000_000);
    let claims = scene.claims("ada", "session-4999").await;
    let issuer = scene.issuer.origin();
    thread::scope(|scope| {
        for part in 0..2 {
            let revoked = scene.revoked.clone();
            scope.spawn(move || {
                for n in (part * 5_000)..(part * 5_000 + 5_000) {
                    revoked.revoke_session(issuer, &format!("session-{n}")).unwrap();
                }
            });
        }
        // Ends when one of the threads has revoked this session.
        while scene.revoked.check(&claims) == SessionState::Active {}
    });
    assert_eq!(scene.revoked.len(), 10_000);
    for n in [0, 4_999, 5_000, 9_999] {
        assert!(scene.is_revoked(&format!("session-{n}")).await);
    }
    assert!(!scene.is_revoked("session-10000").await);
}

#[tokio::test]
async fn sessions_and_users_of_two_issuers_are_separate() {
    let (a, b) = (Issuer::new(), Issuer::new().with_origin("https://second.example.com"));
    let verifier = a.verifier().or(b.verifier());
    let revoked = RevokedSessions::new(Duration::from_secs(RETENTION)).clock(a.clock());
    let logout = LogoutVerifier::from(&verifier).verify(&b.logout_token("1")).await.unwrap();
    assert_eq!(logout.issuer(), b.origin());
    revoked.apply(&logout).unwrap();
    revoked.revoke_user(b.origin(), "bob").unwrap();
    for (issuer, user, session, state) in [
        (&a, "ada", "1", SessionState::Active),
        (&b, "ada", "1", SessionState::Revoked),
        (&b, "ada", "2", SessionState::Active),
        (&a, "bob", "2", SessionState::Active),
        (&b, "bob", "2", SessionState::Revoked),
    ] {
        let claims = verifier.verify(&issuer.token_with_session(user, session)).await.unwrap();
        assert_eq!(revoked.check(&claims), state, "{} {user} {session}", issuer.origin());
    }
}

#[tokio::test]
async fn an_issuer_with_two_names_has_the_same_sessions_under_both() {
    let issuer = Issuer::new();
    let (old, new) = (issuer.origin().to_owned(), "https://new.example.com");
    let keys = KeySet::from_json(issuer.jwks()).unwrap();
    let verifier =
        Verifier::builder(keys).issuers([&*old, new]).audience(issuer.origin()).unwrap().clock(issuer.clock());
    let token = |iss: &str, session: &str| {
        let mut claims = issuer.claims("ada");
        (claims["iss"], claims["sid"]) = (json!(iss), json!(session));
        issuer.sign(&claims)
    };
    for name in [&old, new] {
        let revoked = RevokedSessions::new(Duration::from_secs(RETENTION)).clock(issuer.clock());
        revoked.revoke_session(name, "phone").unwrap();
        for iss in [&old, new] {
            let phone = verifier.verify(&token(iss, "phone")).await.unwrap();
            assert_eq!(revoked.check(&phone), SessionState::Revoked, "revoked by {name}, issued by {iss}");
            let laptop = verifier.verify(&token(iss, "laptop")).await.unwrap();
            assert_eq!(revoked.check(&laptop), SessionState::Active);
        }
    }
}

#[tokio::test]
async fn any_logout_token_of_a_server_ends_both_kinds_of_its_tokens() {
    let issuer = Issuer::new().serve_jwks();
    let (origin, oauth_issuer) = (issuer.origin(), format!("{}/api/auth", issuer.origin()));
    let builder = || BetterAuth::new(issuer.origin()).unwrap().access_tokens("https://api.example.com");
    for builder in [builder(), builder().allowed_hosts(|_| false)] {
        let (verifier, _) = builder.build().unwrap();
        let logouts = LogoutVerifier::from(&verifier)
            .additional_issuer("https://another.example.com")
            .additional_audience("client");
        for (iss, aud) in [(origin, origin), (&*oauth_issuer, "client"), ("https://another.example.com", "client")] {
            let mut claims = issuer.logout_claims("session");
            (claims["iss"], claims["aud"]) = (json!(iss), json!(aud));
            let logout = logouts.verify(&issuer.sign_with_header(&issuer.logout_header(), &claims)).await.unwrap();
            let revoked = RevokedSessions::new(Duration::from_secs(3630));
            revoked.apply(&logout).unwrap();
            for (token, state) in [
                (issuer.token_with_session("ada", "session"), SessionState::Revoked),
                (issuer.token_with_session("ada", "another"), SessionState::Active),
                (issuer.access_token("ada", "https://api.example.com", ""), SessionState::Revoked),
            ] {
                assert_eq!(revoked.check(&verifier.verify(&token).await.unwrap()), state, "{iss} {aud}");
            }
        }
    }
}

#[tokio::test]
async fn a_verifier_of_any_issuer_finds_the_sessions_of_every_issuer() {
    let issuer = Issuer::with_secret([7; 32]);
    let verifier = Verifier::shared_secret([7; 32]).unwrap().insecure_any_issuer().insecure_any_audience().unwrap();
    let revoked = RevokedSessions::new(Duration::from_secs(RETENTION));
    revoked.revoke_session("https://a.example.com", "phone").unwrap();
    revoked.revoke_user("", "bob").unwrap();
    let mut claims = issuer.claims("ada");
    claims.as_object_mut().unwrap().remove("iss");
    for (user, session, state) in [
        ("ada", "phone", SessionState::Revoked),
        ("ada", "laptop", SessionState::Active),
        ("bob", "laptop", SessionState::Revoked),
    ] {
        (claims["sub"], claims["sid"]) = (json!(user), json!(session));
        let claims = verifier.verify(&issuer.sign(&claims)).await.unwrap();
        assert_eq!(revoked.check(&claims), state, "{user} {session}");
    }
}

#[test]
fn claims_for_tests_belong_to_their_issuer() {
    let revoked = RevokedSessions::new(Duration::from_secs(RETENTION));
    revoked.revoke_session("https://a.example.com", "phone").unwrap();
    for (iss, state) in
        [("https://a.example.com", SessionState::Revoked), ("https://b.example.com", SessionState::Active)]
    {
        let claims = test_util::claims(json!({ "sub": "ada", "sid": "phone", "iss": iss }));
        assert_eq!(revoked.check(&claims), state, "{iss}");
    }
}

#[tokio::test]
async fn a_revocation_covers_an_issuer_with_a_fast_clock() {
    let scene = Scene::with_max_entries(10);
    let (revoked, issuer, now) = (&scene.revoked, &scene.issuer, scene.now());
    let token = |user: &str, ahead: u64| {
        let mut claims = issuer.claims(user);
        (claims["iat"], claims["exp"], claims["sid"]) = (json!(now + ahead), json!(now + ahead + 900), json!(user));
        issuer.sign(&claims)
    };
    let check = async |token: &str| {
        let claims = issuer.verifier().verify(token).await.unwrap();
        revoked.check(&claims)
    };
    revoked.revoke_user(issuer.origin(), "ada").unwrap();
    revoked.revoke_session(issuer.origin(), "bob").unwrap();
    for user in ["ada", "bob"] {
        for ahead in [0, 20, LEEWAY] {
            assert_eq!(check(&token(user, ahead)).await, SessionState::Revoked, "{user} {ahead}");
        }
    }
    let last = ["ada", "bob"].map(|user| token(user, LEEWAY));
    scene.advance(LEEWAY + 900 + LEEWAY - 1);
    for token in &last {
        assert_eq!(check(token).await, SessionState::Revoked, "as long as the verifier accepts the token");
    }
}

#[tokio::test]
async fn a_retention_of_the_maximum_age_plus_the_leeway_is_long_enough() {
    let scene = Scene::with_max_entries(10);
    let verifier = scene.issuer.verifier().max_age(Duration::from_secs(RETENTION - LEEWAY));
    let mut claims = scene.issuer.claims("ada");
    (claims["sid"], claims["exp"]) = (json!("phone"), json!(scene.now() + 10 * RETENTION));
    let token = scene.issuer.sign(&claims);
    assert!(scene.revoke("phone"));
    for (seconds, accepted) in [(RETENTION - 1, true), (1, false)] {
        scene.advance(seconds);
        let claims = verifier.verify(&token).await.ok();
        assert_eq!(claims.is_some(), accepted, "{seconds}");
        assert!(claims.is_none_or(|claims| scene.revoked.check(&claims) == SessionState::Revoked));
    }
}

#[tokio::test]
async fn a_user_can_sign_in_again_after_the_leeway() {
    let scene = Scene::with_max_entries(10);
    let revoked = scene.revoked.clone().leeway(Duration::from_secs(5));
    revoked.revoke_user(scene.issuer.origin(), "ada").unwrap();
    for (seconds, state) in [(0, SessionState::Revoked), (5, SessionState::Revoked), (1, SessionState::Active)] {
        scene.advance(seconds);
        let claims = scene.claims("ada", "new").await;
        assert_eq!(revoked.check(&claims), state);
    }
}

#[tokio::test]
async fn ids_of_any_length_are_compared_as_a_whole() {
    let scene = Scene::with_max_entries(10);
    for length in [1, 31, 32, 127, 128, 129, 3000] {
        let id = "x".repeat(length);
        assert!(scene.revoke(&id));
        assert!(scene.is_revoked(&id).await, "{length}");
        for other in [format!("{}y", &id[1..]), format!("y{}", &id[1..]), format!("{id}y")] {
            assert!(!scene.is_revoked(&other).await, "{length}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_revocation_ends_with_the_session_or_all_sessions_of_the_user() {
    let scene = Scene::with_max_entries(10);
    let (revoked, issuer) = (&scene.revoked, scene.issuer.origin());
    let wait = async |user, session| tokio::spawn(revoked.wait_for_revocation(&*scene.claims(user, session).await));
    let (phone, laptop, bob) = (wait("ada", "phone").await, wait("ada", "laptop").await, wait("bob", "tv").await);
    let in_time = async |wait: JoinHandle<()>| {
        timeout(Duration::from_secs(1), wait).await.expect("it was not woken").unwrap();
    };

    tokio::task::yield_now().await;
    revoked.clone().revoke_session(issuer, "phone").unwrap();
    in_time(phone).await;
    assert!(!laptop.is_finished());
    revoked.revoke_user(issuer, "ada").unwrap();
    in_time(laptop).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!bob.is_finished());
}

#[tokio::test]
async fn waiting_for_a_revocation_ends_at_once_if_it_has_happened_before_or_meanwhile() {
    let scene = Scene::with_max_entries(10);
    let claims = scene.claims("ada", "phone").await;
    assert_eq!(scene.revoked.wait_for_revocation(&claims).now_or_never(), None);
    let before = scene.revoked.wait_for_revocation(&claims);
    assert!(scene.revoke("phone"));
    assert_eq!(before.now_or_never(), Some(()));
    assert_eq!(scene.revoked.wait_for_revocation(&claims).now_or_never(), Some(()));
}

#[tokio::test]
async fn waiting_for_a_revocation_misses_none_that_comes_after_the_list_was_searched() {
    /// Revokes a session when it is read: between the search and the decision.
    struct RevokingClock {
        revoked: RevokedSessions,
        origin: String,
        now: u64,
    }
    impl Clock for RevokingClock {
        fn unix_time(&self) -> u64 {
            self.revoked.revoke_session_at(&self.origin, "phone", self.now).unwrap();
            self.now
        }
    }
    let scene = Scene::with_max_entries(10);
    let (revoked, origin, now) = (scene.revoked.clone(), scene.issuer.origin().to_owned(), scene.now());
    // An entry that does not cover the token, so that the clock is read.
    revoked.revoke_user_at(&origin, "ada", now - 10).unwrap();
    let claims = scene.claims("ada", "phone").await;
    let searched = scene.revoked.clone().clock(Arc::new(RevokingClock { revoked, origin, now }));
    assert_eq!(searched.wait_for_revocation(&claims).now_or_never(), Some(()));
}

#[tokio::test]
async fn a_waker_can_use_the_list() {
    struct Reader(RevokedSessions);
    impl Wake for Reader {
        fn wake(self: Arc<Self>) {
            assert_eq!(self.0.len(), 1);
        }
    }
    let scene = Scene::with_max_entries(10);
    let mut wait = pin!(scene.revoked.wait_for_revocation(&*scene.claims("ada", "phone").await));
    let waker = Arc::new(Reader(scene.revoked.clone())).into();
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(scene.revoke("phone"));
    assert!(wait.poll(&mut Context::from_waker(&waker)).is_ready());
}

#[test]
fn debug_prints_no_session() {
    let scene = Scene::with_max_entries(10);
    assert!(scene.revoked.is_empty());
    assert!(scene.revoke("phone"));
    assert_eq!(format!("{:?}", scene.revoked), "RevokedSessions { len: 1, max_entries: 10, .. }");
    assert!(!scene.revoked.is_empty());
}

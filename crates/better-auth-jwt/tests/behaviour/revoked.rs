//! What is remembered of ended sessions, for how long, and how much.

use std::{sync::Arc, thread, time::Duration};

use better_auth_jwt::{Claims, Clock, RevokedSessions, SessionCheck, SessionState, test_util::Issuer};

const KEEP: u64 = 930;

struct Scene {
    issuer: Issuer,
    revoked: RevokedSessions,
}

impl Scene {
    fn with_room_for(entries: usize) -> Self {
        let issuer = Issuer::with_secret([7; 32]);
        let revoked = RevokedSessions::new(Duration::from_secs(KEEP)).at_most(entries).clock(issuer.clock());
        Self { issuer, revoked }
    }

    fn now(&self) -> u64 {
        self.issuer.clock().unix_time()
    }

    fn pass(&self, seconds: u64) {
        self.issuer.clock().advance(Duration::from_secs(seconds));
    }

    async fn claims(&self, user: &str, session: &str) -> Arc<Claims> {
        self.issuer.verifier().verify(&self.issuer.token_in_session(user, session)).await.unwrap()
    }

    async fn is_ended(&self, session: &str) -> bool {
        self.revoked.look_up(&*self.claims("ada", session).await) == SessionState::Ended
    }
}

#[tokio::test]
async fn where_there_is_no_room_nothing_is_forgotten_and_the_caller_hears_of_it() {
    let scene = Scene::with_room_for(3);
    let revoked = &scene.revoked;
    revoked.end_session("one").unwrap();
    revoked.end_session("two").unwrap();
    revoked.end_sessions_of("bob", scene.now()).unwrap();
    assert!(revoked.end_session("three").is_err());
    assert!(revoked.end_sessions_of("eve", scene.now()).is_err());
    revoked.end_session("one").unwrap();
    revoked.end_sessions_of("bob", scene.now()).unwrap();
    assert_eq!(revoked.len(), 3);
    assert!(scene.is_ended("one").await && scene.is_ended("two").await && !scene.is_ended("three").await);
    scene.pass(KEEP - 1);
    assert!(revoked.end_session("three").is_err());
    scene.pass(1);
    revoked.end_session("three").unwrap();
    assert_eq!(revoked.len(), 1, "those of before have left");
    assert!(scene.is_ended("three").await && !scene.is_ended("one").await);
}

#[tokio::test]
async fn a_repeat_never_shortens_what_is_remembered() {
    let scene = Scene::with_room_for(10);
    let (revoked, begin) = (&scene.revoked, scene.now());
    revoked.end_session_at("phone", begin).unwrap();
    revoked.end_session_at("phone", begin - 500).unwrap();
    revoked.end_sessions_of("ada", begin - 10).unwrap();
    revoked.end_sessions_of("ada", begin - 500).unwrap();
    scene.pass(KEEP - 11);
    let mut old = scene.issuer.claims("ada");
    old["iat"] = (begin - 10).into();
    let old = scene.issuer.verifier().verify(&scene.issuer.sign(&old)).await.unwrap();
    assert_eq!(revoked.look_up(&*old), SessionState::Ended);
    scene.pass(10);
    assert!(scene.is_ended("phone").await);
    revoked.end_session_at("phone", begin + 100).unwrap();
    scene.pass(100);
    assert!(scene.is_ended("phone").await);
    scene.pass(1);
    assert!(!scene.is_ended("phone").await);
}

#[tokio::test]
async fn what_was_kept_elsewhere_leaves_at_its_own_time() {
    let scene = Scene::with_room_for(10);
    let now = scene.now();
    for (session, ended_at) in [("new", now - 1), ("old", now - KEEP + 1), ("past", now - KEEP), ("ages", 0)] {
        scene.revoked.end_session_at(session, ended_at).unwrap();
    }
    assert_eq!(scene.revoked.len(), 2, "what no longer matters takes no room");
    assert!(scene.is_ended("new").await && scene.is_ended("old").await);
    scene.pass(1);
    assert!(scene.is_ended("new").await && !scene.is_ended("old").await);
}

#[tokio::test]
async fn old_entries_make_room_by_themselves() {
    let scene = Scene::with_room_for(1_000_000);
    for n in 0..100_000 {
        scene.revoked.end_session(&format!("session-{n}")).unwrap();
        if n % 10 == 0 {
            scene.pass(1);
        }
    }
    // 10 a second are kept for 930 seconds; twice as many may be there, and the few that are not searched.
    assert!(scene.revoked.len() <= 2 * 9_300 + 10, "{}", scene.revoked.len());
    assert!(scene.is_ended("session-99999").await && scene.is_ended("session-91000").await);
    assert!(!scene.is_ended("session-90000").await);
}

#[tokio::test]
async fn sessions_end_in_one_thread_while_others_ask() {
    let scene = Scene::with_room_for(1_000_000);
    let claims = scene.claims("ada", "session-4999").await;
    thread::scope(|scope| {
        for part in 0..2 {
            let revoked = scene.revoked.clone();
            scope.spawn(move || {
                for n in (part * 5_000)..(part * 5_000 + 5_000) {
                    revoked.end_session(&format!("session-{n}")).unwrap();
                }
            });
        }
        // Ends when the other thread has come to this session: what has been ended is seen everywhere.
        while scene.revoked.look_up(&*claims) == SessionState::Live {}
    });
    assert_eq!(scene.revoked.len(), 10_000);
    for n in [0, 4_999, 5_000, 9_999] {
        assert!(scene.is_ended(&format!("session-{n}")).await);
    }
    assert!(!scene.is_ended("session-10000").await);
}

#[test]
fn debug_prints_no_session() {
    let scene = Scene::with_room_for(10);
    scene.revoked.end_session("phone").unwrap();
    assert_eq!(format!("{:?}", scene.revoked), "RevokedSessions { len: 1, most: 10, .. }");
    assert!(!scene.revoked.is_empty());
}

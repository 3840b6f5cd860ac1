//! The cases to measure, for times and for allocations.

use better_auth_jwt::keys::Algorithm;
use http::{
    Request,
    header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, HOST, USER_AGENT},
};

use crate::{Peer, Setup, Target, all, ours};

/// One of the peers compares the issuer with a `Url`, which always has a path.
const ORIGIN: &str = "https://app.example.com/";

/// Few enough to stay in the processor's cache.
const TOKENS: usize = 128;

/// All cases for one algorithm: several of better-auth-jwt, and one of each peer.
pub struct Benchmark {
    pub cases: Vec<Case>,
    pub setup: Setup,
    pub token: String,
}

/// A target with its requests.
pub struct Case {
    pub name: String,
    /// The target, or why it cannot be measured with this algorithm.
    pub target: Result<Box<dyn Target>, &'static str>,
    /// Requests with valid tokens, which are sent repeatedly.
    pub valid: Vec<Request<()>>,
    /// Whether the tokens are cached, so that no signature is checked.
    pub is_cached: bool,
}

impl Benchmark {
    /// # Panics
    ///
    /// A target rejects a valid token.
    pub async fn new(algorithm: Algorithm) -> Self {
        let setup = Setup::new(algorithm, ORIGIN);
        let token = setup.token(0);
        let same = vec![request(Some(&token))];
        let fresh = (0..TOKENS).map(|number| request(Some(&setup.token(number)))).collect();

        let mut all = all(&setup).await.into_iter();
        let name = all.next().map(|first| first.name).unwrap_or_default();
        let ours = |what: &str, target, valid: &Vec<_>, is_cached| Case {
            name: format!("**{name}**, {what}"),
            target: Ok(target),
            valid: valid.clone(),
            is_cached,
        };
        let mut cases = vec![
            ours("not cached", ours::uncached(&setup), &same, false),
            ours("not cached, custom claims type", ours::uncached_custom_claims(&setup), &same, false),
            ours("not cached, inserted into the cache", ours::cache_inserts(&setup), &fresh, false),
            ours("cached", ours::cached(&setup), &same, true),
        ];
        cases.extend(all.map(|Peer { name, target }| Case { name, target, valid: same.clone(), is_cached: false }));

        for case in &mut cases {
            if let Ok(target) = &mut case.target {
                let outcome = target.call(same[0].clone()).await;
                assert!(outcome.passed, "{} rejects a valid token: {outcome:?}", case.name);
            }
        }
        Self { cases, setup, token }
    }

    /// An additional case for rejected requests: the response without a layer.
    pub fn minimal_rejection() -> Case {
        let target = Ok(ours::minimal_rejection());
        Case { name: "minimal rejection".to_owned(), target, valid: Vec::new(), is_cached: false }
    }
}

/// A request as a browser sends it and a router passes it on. The user in the path is the token's.
pub fn request(token: Option<&str>) -> Request<()> {
    let mut request = Request::builder()
        .uri(format!("/api/{}/tasks", Setup::USER))
        .header(HOST, "api.example.com")
        .header(USER_AGENT, "Mozilla/5.0")
        .header(ACCEPT, "*/*")
        .header(ACCEPT_LANGUAGE, "en")
        .extension(Route("/api/{user_id}/tasks"));
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(()).expect("a request")
}

/// An extension like the one of a router.
#[derive(Clone)]
struct Route(#[expect(dead_code, reason = "only its presence matters")] &'static str);

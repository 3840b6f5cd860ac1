//! Who is measured, and with what: the same for time and for allocations.

use better_auth_jwt::keys::Algorithm;
use http::{
    Request,
    header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, HOST, USER_AGENT},
};

use crate::{Contestant, Entrant, Setup, all, ours};

/// One of the peers compares the issuer with a `Url`, which always has a path.
const ORIGIN: &str = "https://app.example.com/";

/// So few that they stay in the processor's cache.
const TOKENS: usize = 128;

/// All contestants for one algorithm, ours several times.
pub struct Field {
    pub runners: Vec<Runner>,
    pub setup: Setup,
    pub token: String,
}

/// A contestant, or why there is none for the algorithm.
pub struct Runner {
    pub name: String,
    pub guarded: Result<Box<dyn Contestant>, &'static str>,
    /// What to send it: one request over and over, or one after the other.
    pub good: Vec<Request<()>>,
    /// It sees a token that it has verified before.
    pub knows: bool,
}

impl Field {
    /// # Panics
    ///
    /// A contestant refuses a good token: then it would be the refusals that are measured.
    pub async fn new(algorithm: Algorithm) -> Self {
        let setup = Setup::new(algorithm, ORIGIN);
        let token = setup.token(0);
        let same = vec![request(Some(&token))];
        let fresh = (0..TOKENS).map(|number| request(Some(&setup.token(number)))).collect();

        let mut all = all(&setup).await.into_iter();
        let name = all.next().map(|us| us.name).unwrap_or_default();
        let ours = |what: &str, contestant, good: &Vec<_>, knows| Runner {
            name: format!("**{name}**, {what}"),
            guarded: Ok(contestant),
            good: good.clone(),
            knows,
        };
        let mut runners = vec![
            ours("first sight", ours::first_sight(&setup), &same, false),
            ours("first sight, own claims type", ours::own_claims(&setup), &same, false),
            ours("first sight, then remembered", ours::remembering(&setup), &fresh, false),
            ours("seen before", ours::as_it_comes(&setup), &same, true),
        ];
        runners.extend(all.map(|Entrant { name, guarded }| Runner { name, guarded, good: same.clone(), knows: false }));

        for runner in &mut runners {
            if let Ok(contestant) = &mut runner.guarded {
                let answer = contestant.answer(same[0].clone()).await;
                assert!(answer.passed, "{} refuses a good token: {answer:?}", runner.name);
            }
        }
        Self { runners, setup, token }
    }

    /// One more runner, for what is refused.
    pub fn refusing_by_hand() -> Runner {
        let guarded = Ok(ours::refusing_by_hand());
        Runner { name: "refused by hand".to_owned(), guarded, good: Vec::new(), knows: false }
    }
}

/// A request of the token's user for their own tasks, as a browser sends it and a router hands it on.
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

/// What a router notes in a request's extensions.
#[derive(Clone)]
struct Route(#[expect(dead_code, reason = "nobody behind this router asks")] &'static str);

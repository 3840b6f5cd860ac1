use reqwest::{
    Url,
    header::{COOKIE, LOCATION},
};
use serde_json::json;

use crate::{ApiResponse, BetterAuth};

/// What an OAuth client got for a user's consent.
#[derive(Debug)]
pub struct OAuthTokens {
    /// For the resource `https://api.example.com`, with the scopes `openid` and `tasks:read`. The old plugin
    /// `oidcProvider` issues an opaque one.
    pub access_token: String,
    /// For the client.
    pub id_token: String,
}

const REDIRECT_URI: &str = "https://client.example/callback";
/// Any text of 43 characters or more, and its SHA-256.
const CODE_VERIFIER: &str = "tests-need-no-secret-verifier-but-PKCE-wants-one";
const CODE_CHALLENGE: &str = "4COPOLx35uwD2thF59Z6lnbyACPzArmovhsSi_ccg-c";

impl BetterAuth {
    /// Registers a client, gives the consent of the cookie's user, and exchanges the code for tokens: the authorization
    /// code flow with PKCE. `dpop` is the proof for the request to [`token_endpoint`](Self::token_endpoint), which binds
    /// the access token to a key. It requires one of the plugins `oauthProvider` and `oidcProvider`.
    ///
    /// # Panics
    /// If a request fails.
    pub async fn oauth_tokens(&self, cookie: &str, dpop: Option<&str>) -> OAuthTokens {
        let registration = json!({ "client_name": "client", "redirect_uris": [REDIRECT_URI] });
        let registered = self.post("oauth2/register", cookie, &registration).await;
        assert!(registered.status.is_success(), "{registered:?}");
        let (id, secret) = (registered.text("/client_id"), registered.text("/client_secret"));

        let authorization = self.client.get(self.endpoint("oauth2/authorize")).header(COOKIE, cookie).query(&[
            ("response_type", "code"),
            ("client_id", id),
            ("redirect_uri", REDIRECT_URI),
            ("scope", "openid tasks:read"),
            ("state", "state"),
            ("code_challenge", CODE_CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        let authorization = ApiResponse::to(authorization).await;
        let location = authorization.headers.get(LOCATION).unwrap_or_else(|| panic!("no redirect: {authorization:?}"));
        let consent_page = self.resolve(location.to_str().expect("an ASCII URL"));
        // The plugins use different names for the request, and for the URL in the response.
        let consent = match parameter(&consent_page, "consent_code") {
            Some(code) => json!({ "accept": true, "consent_code": code }),
            None => json!({ "accept": true, "oauth_query": consent_page.query() }),
        };
        let consent = self.post("oauth2/consent", cookie, &consent).await;
        let callback = consent.body["url"].as_str().or_else(|| consent.body["redirectURI"].as_str());
        let callback = self.resolve(callback.unwrap_or_else(|| panic!("no URL: {consent:?}")));

        let mut exchange = self.client.post(self.token_endpoint()).basic_auth(id, Some(secret)).form(&[
            ("grant_type", "authorization_code"),
            ("code", &parameter(&callback, "code").unwrap_or_else(|| panic!("no code in {callback}"))),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", CODE_VERIFIER),
            ("resource", "https://api.example.com"),
        ]);
        if let Some(proof) = dpop {
            exchange = exchange.header("dpop", proof);
        }
        let tokens = ApiResponse::to(exchange).await;
        OAuthTokens {
            access_token: tokens.text("/access_token").to_owned(),
            id_token: tokens.text("/id_token").to_owned(),
        }
    }

    /// The endpoint that exchanges codes for tokens.
    pub fn token_endpoint(&self) -> String {
        self.endpoint("oauth2/token")
    }

    fn resolve(&self, url: &str) -> Url {
        Url::parse(self.url()).and_then(|base| base.join(url)).unwrap_or_else(|error| panic!("{url}: {error}"))
    }
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

//! `aliri_tower`. The application provides a claims type that contains the claims to check.

use ::aliri_tower::Oauth2Authorizer;
use aliri::{
    Jwks,
    jwt::{Audience, Audiences, CoreClaims, CoreValidator, Issuer, IssuerRef, Subject, SubjectRef},
};
use aliri_clock::UnixTime;
use aliri_oauth2::{Authority, HasScope, Scope};
use better_auth_jwt::keys::Algorithm;
use bytes::Bytes;
use http_body_util::Empty;
use serde::Deserialize;

use crate::{Setup, Target, inner::Inner, target::Layered};

pub(super) async fn target(setup: &Setup) -> Result<Box<dyn Target>, &'static str> {
    if setup.algorithm == Algorithm::EdDSA {
        return Err("no EdDSA");
    }
    let origin = setup.issuer.origin().to_owned();
    let validator = CoreValidator::default()
        .add_approved_algorithm(setup.key::<aliri::Jwk>().algorithm().expect("an algorithm"))
        .add_allowed_audience(Audience::new(origin.clone()))
        .require_issuer(Issuer::new(origin));
    let authority = match &setup.jwks_url {
        Some(url) => Authority::new_from_url(url.clone(), validator).await.expect("keys"),
        None => {
            let mut keys = Jwks::default();
            keys.add_key(setup.key());
            Authority::new(keys, validator)
        }
    };
    let authorizer = Oauth2Authorizer::new().with_claims::<AliriClaims>().with_terse_error_handler::<Empty<Bytes>>();
    Ok(Box::new(Layered::new(authorizer.jwt_layer(authority), Inner::<Empty<Bytes>>::new(), || ())))
}

#[derive(Debug, Clone, Deserialize)]
struct AliriClaims {
    iss: Option<Issuer>,
    #[serde(default)]
    aud: Audiences,
    sub: Subject,
    exp: UnixTime,
    nbf: Option<UnixTime>,
    #[expect(dead_code, reason = "handlers would read it")]
    email: String,
    #[expect(dead_code, reason = "handlers would read it")]
    name: String,
    #[serde(default)]
    scope: Scope,
}

impl CoreClaims for AliriClaims {
    fn nbf(&self) -> Option<UnixTime> {
        self.nbf
    }

    fn exp(&self) -> Option<UnixTime> {
        Some(self.exp)
    }

    fn aud(&self) -> &Audiences {
        &self.aud
    }

    fn iss(&self) -> Option<&IssuerRef> {
        self.iss.as_deref()
    }

    fn sub(&self) -> Option<&SubjectRef> {
        Some(&self.sub)
    }
}

impl HasScope for AliriClaims {
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

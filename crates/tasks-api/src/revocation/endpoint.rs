//! `POST /auth/backchannel-logout`.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use axum::{
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use better_auth_jwt::BackChannelLogout;
use serde::Deserialize;
use tower::{Service, util::MapResponse};
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{self, RefOr},
};

use super::Revocations;
use crate::{
    http::problem::{self, Problem},
    metrics::Metrics,
};

/// The library's endpoint for logout tokens, with the error responses of this server.
#[utoipa::path(
    post,
    path = "/auth/backchannel-logout",
    operation_id = "endSession",
    tag = "sessions",
    summary = "End a session",
    description = "OpenID Connect Back-Channel Logout. Tokens of the session in the logout token's `sid` are rejected \
                   from now on; without `sid`, all tokens issued to the user so far. Repeating a request has no effect.",
    security(),
    request_body(content = inline(LogoutForm), content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The session has ended"), LogoutProblems),
)]
pub(crate) fn endpoint(
    revocations: &Revocations,
    metrics: &Arc<Metrics>,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static {
    let metrics = metrics.clone();
    MapResponse::new(
        BackChannelLogout::new(revocations.config.verifier.clone(), revocations.clone()),
        move |mut response: axum::http::Response<String>| {
            metrics.logout(response.status());
            let problem = match response.status() {
                status if status.is_success() => return response.into_response(),
                StatusCode::SERVICE_UNAVAILABLE => Problem::Unavailable,
                _ => Problem::InvalidLogoutToken(description(response.body())),
            };
            response.extensions_mut().insert(problem);
            response.into_response()
        },
    )
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form")]
struct LogoutForm {
    logout_token: String,
}

struct LogoutProblems;

impl IntoResponses for LogoutProblems {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let problems = [
            Problem::InvalidLogoutToken("the logout token is not valid".into()),
            Problem::RequestTimeout,
            Problem::PayloadTooLarge,
            Problem::Internal,
            Problem::Unavailable,
        ];
        problem::responses(problems, "/auth/backchannel-logout")
    }
}

/// The library's description of an invalid token.
fn description(body: &str) -> String {
    #[derive(Default, Deserialize)]
    struct Refused {
        error_description: String,
    }
    serde_json::from_str::<Refused>(body).unwrap_or_default().error_description
}

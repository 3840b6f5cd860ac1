//! `POST /auth/backchannel-logout`.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use better_auth_jwt::BackChannelLogout;
use serde::Deserialize;
use tower::{Service, util::MapResponse};

use super::Revocations;
use crate::{http::problem::Problem, metrics::Metrics};

/// The library's endpoint for logout tokens, with the error responses of this server.
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

/// The library's description of an invalid token.
fn description(body: &str) -> String {
    #[derive(Default, Deserialize)]
    struct Refused {
        error_description: String,
    }
    serde_json::from_str::<Refused>(body).unwrap_or_default().error_description
}

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use better_auth_jwt::BackChannelLogout;
use serde::Deserialize;
use tower::{Service, util::MapResponse};

use super::Logouts;
use crate::{metrics::Metrics, problem::Problem};

/// Where Better Auth says that a session has ended: the library's endpoint, with errors like all the others here.
pub(crate) fn endpoint(
    logouts: Logouts,
    metrics: Arc<Metrics>,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static {
    MapResponse::new(
        BackChannelLogout::new(logouts.rules.verifier.clone(), logouts),
        move |mut answer: axum::http::Response<String>| {
            metrics.logout(answer.status());
            let problem = match answer.status() {
                status if status.is_success() => return answer.into_response(),
                StatusCode::SERVICE_UNAVAILABLE => Problem::Unavailable,
                _ => Problem::InvalidLogout(description(answer.body())),
            };
            answer.extensions_mut().insert(problem);
            answer.into_response()
        },
    )
}

/// What the library says of a refused token.
fn description(body: &str) -> String {
    #[derive(Default, Deserialize)]
    struct Refused {
        error_description: String,
    }
    serde_json::from_str::<Refused>(body).unwrap_or_default().error_description
}

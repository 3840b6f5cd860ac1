//! The OpenAPI description of problems. Its examples are problem documents, so they cannot differ from real responses.

use std::collections::BTreeMap;

use axum::http::{StatusCode, header::RETRY_AFTER};
use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{
        Ref, RefOr, Response, ResponseBuilder, content::ContentBuilder, example::ExampleBuilder, header::Header,
    },
};

use super::{
    Problem,
    document::{MEDIA_TYPE, ProblemDocument},
};

/// One response per status, with one example per problem. `instance` is the path of the examples.
pub(crate) fn responses(
    problems: impl IntoIterator<Item = Problem>,
    instance: &str,
) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status = BTreeMap::<StatusCode, Vec<Problem>>::new();
    for problem in problems {
        by_status.entry(problem.status()).or_default().push(problem);
    }
    let response = |(status, problems): (StatusCode, Vec<Problem>)| {
        let mut response = ResponseBuilder::new().description(status.canonical_reason().unwrap_or_default());
        if status == StatusCode::UNAUTHORIZED {
            response = response.header("WWW-Authenticate", Header::default());
        }
        if problems.iter().any(|problem| problem.headers().iter().any(|(name, _)| name == RETRY_AFTER)) {
            response = response.header("Retry-After", Header::default());
        }
        let examples = problems.iter().map(|problem| {
            let value = json!(ProblemDocument::new(problem, status, instance, "01890a5d-ac96-774b-bcce-b302099a8057"));
            let code = value["code"].as_str().unwrap_or_default().to_owned();
            (code, ExampleBuilder::new().summary(problem.detail()).value(Some(value)))
        });
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(ProblemDocument::name())))
            .examples_from_iter(examples);
        (status.as_str().to_owned(), response.content(MEDIA_TYPE, content).build().into())
    };
    by_status.into_iter().map(response).collect()
}

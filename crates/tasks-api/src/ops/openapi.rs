//! The OpenAPI document. Handlers describe themselves with `#[utoipa::path]`; this adds what they have in common.

use better_auth_jwt::ErrorKind;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Ref, RefOr,
        header::{Header, HeaderBuilder},
        path::{Operation, ParameterIn},
        schema::{Object, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{health, metrics};
use crate::{
    auth,
    http::problem::{self, FieldError, Problem, ProblemDocument},
    revocation, tasks,
};

/// The document of all routes but the documentation's own.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "tasks-api",
        description = "Tasks of users who are authenticated by Better Auth. Every error is a problem document (RFC 9457) \
                       with one of the listed codes.",
    ),
    servers((url = "/")),
    tags(
        (name = "tasks", description = "The tasks of a user"),
        (name = "sessions", description = "Called by Better Auth when a session ends"),
        (name = "operation", description = "For load balancers, probes and Prometheus"),
    ),
    paths(
        tasks::list, tasks::create, tasks::read, tasks::replace, tasks::delete, tasks::complete,
        revocation::endpoint,
        health::alive, health::ready, metrics::text,
    ),
    components(schemas(ProblemDocument<'static>, tasks::Completion)),
    security(("token" = [])),
    modifiers(&Shared),
)]
pub(crate) struct Document;

/// The security scheme, the response headers, and the problems of operations with a token.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let token = token.description(Some("The result of `authClient.token()`")).build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        components.headers.extend(headers());
        for (path, item) in &mut document.paths.paths {
            let instance = path.split('/').map(example).collect::<Vec<_>>().join("/");
            let reads = item.get.iter_mut().map(|operation| (operation, false));
            let changes = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten();
            for (operation, is_change) in reads.chain(changes.map(|operation| (operation, true))) {
                // Operations without a token list their problems themselves.
                if operation.security.is_none() {
                    let problems = problems(operation, is_change);
                    operation.responses.responses.extend(problem::responses(problems, &instance));
                }
                refer_to_headers(operation);
            }
        }
    }
}

/// An example of a segment of a route's path.
fn example(segment: &str) -> &str {
    match segment {
        "{user_id}" => "ada",
        parameter if parameter.starts_with('{') => "01890a5d-ac96-774b-bcce-b302099a8057",
        literal => literal,
    }
}

/// The problems of an operation with a token, by what it takes.
fn problems(operation: &Operation, is_change: bool) -> Vec<Problem> {
    let auth = [
        ErrorKind::InvalidRequest,
        ErrorKind::InvalidPath,
        ErrorKind::MissingToken,
        ErrorKind::InvalidSignature,
        ErrorKind::UserMismatch,
        ErrorKind::KeysUnavailable,
    ];
    let mut problems: Vec<Problem> = auth.map(|kind| Problem::Auth(auth::auth_error(kind))).into();
    problems.extend([Problem::RequestTimeout, Problem::PayloadTooLarge, Problem::RateLimited(3)]);
    problems.extend([Problem::Internal, Problem::Unavailable]);
    let invalid_query = Problem::InvalidQuery("limit must be an integer of at least 1".into());
    let idempotency = [Problem::InvalidIdempotencyKey, Problem::IdempotencyKeyInUse, Problem::IdempotencyKeyReused];
    for parameter in operation.parameters.iter().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        match (&parameter.parameter_in, parameter.name.as_str()) {
            (ParameterIn::Path, "id") => problems.push(Problem::NotFound),
            (ParameterIn::Query, _) => problems.push(invalid_query.clone()),
            (ParameterIn::Header, "If-Match") => problems.push(Problem::PreconditionFailed),
            (ParameterIn::Header, "Idempotency-Key") => problems.extend(idempotency.clone()),
            _ => {}
        }
    }
    if operation.request_body.is_some() {
        let error = FieldError { pointer: "/title".into(), detail: "must not be empty".into() };
        problems.push(Problem::InvalidJson("the body is not JSON: expected value at line 1 column 1".into()));
        problems.extend([Problem::UnsupportedMediaType, Problem::Validation(vec![error])]);
    }
    if is_change {
        problems.push(Problem::OutcomeUnknown);
    }
    problems
}

/// The response headers, which operations refer to by name.
fn headers() -> impl Iterator<Item = (String, RefOr<Header>)> {
    let headers = [
        ("ETag", Type::String, "The version of the resource, for If-Match and If-None-Match"),
        ("Link", Type::String, "The next page, as rel=\"next\", if there is one"),
        ("Location", Type::String, "The URL of the new resource"),
        ("Retry-After", Type::Integer, "Seconds to wait before a retry"),
        ("WWW-Authenticate", Type::String, "How to authenticate (RFC 6750)"),
    ];
    headers.into_iter().map(|(name, schema, description)| {
        let header = HeaderBuilder::new().description(Some(description)).schema(Some(Object::with_type(schema)));
        (name.to_owned(), header.build().into())
    })
}

fn refer_to_headers(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        for (name, header) in &mut response.headers {
            *header = RefOr::Ref(Ref::new(format!("#/components/headers/{name}")));
        }
    }
}

//! `GET /openapi.json` and `GET /docs`.

use std::sync::{Arc, LazyLock};

use axum::{
    Json,
    extract::Path,
    http::{
        HeaderName,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{Html, IntoResponse, Response},
};
use utoipa::{OpenApi, openapi};
use utoipa_swagger_ui::{Config, serve};

use super::openapi::Document;
use crate::http::problem::Problem;

/// `GET /openapi.json`: the OpenAPI document.
pub(crate) async fn openapi() -> impl IntoResponse {
    static DOCUMENT: LazyLock<openapi::OpenApi> = LazyLock::new(Document::openapi);
    Json(&*DOCUMENT)
}

/// `GET /docs`: Swagger UI. The page loads nothing from other servers.
pub(crate) async fn index() -> impl IntoResponse {
    // The URLs are relative, so that the page also works behind a path prefix.
    const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>tasks-api</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"#;
    (CSP, Html(PAGE))
}

/// `GET /docs/{asset}`: the scripts and styles of the page.
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    const START: &str = r##"SwaggerUIBundle({ url: "openapi.json", dom_id: "#api", deepLinking: true, persistAuthorization: false });
"##;
    if name == "start.js" {
        return Ok((CSP, [(CONTENT_TYPE, "text/javascript; charset=utf-8")], START).into_response());
    }
    let known = matches!(name.as_str(), "swagger-ui.css" | "swagger-ui-bundle.js");
    let file = known.then(|| serve(&name, Arc::new(Config::from("openapi.json")))).and_then(Result::ok).flatten();
    let file = file.ok_or(Problem::NotFound)?;
    let headers = [(CONTENT_TYPE, file.content_type.as_str()), (CACHE_CONTROL, "public, max-age=86400")];
    Ok((headers, file.bytes.into_owned()).into_response())
}

/// Swagger UI uses inline styles and `data:` images.
const CSP: [(HeaderName, &str); 1] = [(
    CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'",
)];

//! Tests with a real client over TCP.

use std::sync::Arc;

use better_auth_jwt::{
    GrpcRejection, JwtAuthLayer, Verifier,
    keys::{JwksResponse, RemoteKeySet},
    test_util::Issuer,
};
use futures_util::{Stream, TryStreamExt, stream};
use http::{StatusCode, Version};
use http_body::Body as _;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
};
use tonic::{
    Code, Request, Status,
    body::Body,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tower::ServiceExt;

use crate::{
    proto::{Entry, ReadRequest, Word, diary_client::DiaryClient},
    server,
};

/// A connection to the example's server.
async fn diary(verifier: Verifier) -> Channel {
    let server = server(verifier).await.unwrap();
    connect(|incoming| server.serve_with_incoming(incoming)).await
}

/// Serves on a free port on loopback, and connects.
async fn connect<F>(serve: impl FnOnce(TcpIncoming) -> F) -> Channel
where
    F: Future<Output: Send> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(TcpIncoming::from(listener)));
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Sends a token with every call, or none if it is empty.
#[derive(Clone)]
struct Bearer(String);

impl Interceptor for Bearer {
    fn call(&mut self, mut call: Request<()>) -> Result<Request<()>, Status> {
        if !self.0.is_empty() {
            call.metadata_mut().insert("authorization", format!("Bearer {}", self.0).parse().unwrap());
        }
        Ok(call)
    }
}

fn client(channel: &Channel, token: impl Into<String>) -> DiaryClient<InterceptedService<Channel, Bearer>> {
    DiaryClient::with_interceptor(channel.clone(), Bearer(token.into()))
}

fn entry(text: &str) -> Entry {
    Entry { text: text.to_owned() }
}

fn word(text: &str) -> Word {
    Word { text: text.to_owned() }
}

async fn texts(entries: impl Stream<Item = Result<Entry, Status>>) -> Vec<String> {
    entries.map_ok(|entry| entry.text).try_collect().await.unwrap()
}

/// Claims that the diary accepts.
fn claims(issuer: &Issuer, user: &str) -> Value {
    let mut claims = issuer.claims(user);
    claims["emailVerified"] = json!(true);
    claims
}

fn token(issuer: &Issuer, user: &str) -> String {
    issuer.sign(&claims(issuer, user))
}

#[tokio::test]
async fn every_kind_of_call_receives_the_claims() {
    let issuer = Issuer::new();
    let channel = diary(issuer.verifier()).await;
    let mut ada = client(&channel, token(&issuer, "ada"));
    let mut bob = client(&channel, token(&issuer, "bob"));

    let written = ada.write(entry("tea with Mary")).await.unwrap().into_inner();
    assert_eq!((&*written.author, written.entries), ("ada", 1));
    let written = bob.write(entry("nothing today")).await.unwrap().into_inner();
    assert_eq!((&*written.author, written.entries), ("bob", 1));

    let old = stream::iter(["cogs", "tea alone"].map(entry));
    let written = ada.import(old).await.unwrap().into_inner();
    assert_eq!((&*written.author, written.entries), ("ada", 3));

    let read = ada.read(ReadRequest {}).await.unwrap().into_inner();
    assert_eq!(texts(read).await, ["tea with Mary", "cogs", "tea alone"]);
    let read = bob.read(ReadRequest {}).await.unwrap().into_inner();
    assert_eq!(texts(read).await, ["nothing today"]);

    let found = ada.find(stream::iter(["cogs", "nothing", "tea"].map(word))).await.unwrap().into_inner();
    assert_eq!(texts(found).await, ["cogs", "tea with Mary", "tea alone"]);
}

#[tokio::test]
async fn both_sides_of_a_bidirectional_stream_take_turns() {
    let issuer = Issuer::new();
    let channel = diary(issuer.verifier()).await;
    let mut ada = client(&channel, token(&issuer, "ada"));
    ada.import(stream::iter(["cogs", "tea"].map(entry))).await.unwrap();

    let (sender, words) = mpsc::unbounded_channel();
    let words = stream::unfold(words, async |mut words| words.recv().await.map(|word| (word, words)));
    let mut found = ada.find(words).await.unwrap().into_inner();
    for text in ["tea", "cogs"] {
        sender.send(word(text)).unwrap();
        assert_eq!(found.message().await.unwrap(), Some(entry(text)));
    }
    drop(sender);
    assert_eq!(found.message().await.unwrap(), None);
}

#[tokio::test]
async fn every_kind_of_call_without_a_token_is_unauthenticated() {
    let channel = diary(Issuer::new().verifier()).await;
    let mut client_without_token = client(&channel, "");
    for status in [
        client_without_token.write(entry("hello")).await.map(drop),
        client_without_token.import(stream::iter([entry("hello")])).await.map(drop),
        client_without_token.read(ReadRequest {}).await.map(drop),
        client_without_token.find(stream::iter([word("hello")])).await.map(drop),
    ] {
        let status = status.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "a bearer token is required"));
    }
}

#[tokio::test]
async fn an_endless_upload_without_a_token_is_rejected() {
    let channel = diary(Issuer::new().verifier()).await;
    let endless = stream::repeat(entry(&"x".repeat(64 * 1024)));
    let status = client(&channel, "").import(endless).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "a bearer token is required"));
}

#[tokio::test]
async fn the_status_does_not_reveal_which_check_failed() {
    let (issuer, other_issuer) = (Issuer::new(), Issuer::new());
    let channel = diary(issuer.verifier()).await;
    let valid = claims(&issuer, "ada");
    let with = |name: &str, value: Value| {
        let mut claims = valid.clone();
        claims[name] = value;
        issuer.sign(&claims)
    };
    for (token, code, message) in [
        (with("exp", json!(1)), Code::Unauthenticated, "the token expired"),
        (other_issuer.sign_with_header(&issuer.header(), &valid), Code::Unauthenticated, "the token is not valid"),
        (other_issuer.sign(&valid), Code::Unauthenticated, "the token is not valid"),
        (with("aud", json!("https://other.example")), Code::Unauthenticated, "the token is not valid"),
        ("k".repeat(32), Code::Unauthenticated, "the token is not valid"),
        (with("emailVerified", json!(false)), Code::PermissionDenied, "access denied"),
        (with("emailVerified", json!("yes")), Code::PermissionDenied, "access denied"),
    ] {
        let status = client(&channel, &*token).write(entry("hello")).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message), "{token}");
    }
}

#[tokio::test]
async fn while_keys_are_unavailable_calls_are_unavailable() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let channel = diary(Verifier::better_auth(&origin).unwrap()).await;
    let issuer = Issuer::new().with_origin(origin);
    let token = token(&issuer, "ada");
    for _ in 0..2 {
        let status = client(&channel, &*token).write(entry("hello")).await.unwrap_err();
        let message = "tokens cannot be verified now";
        assert_eq!((status.code(), status.message()), (Code::Unavailable, message));
    }
    // Calls without a token do not wait for keys.
    let status = client(&channel, "").write(entry("hello")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_call_that_waits_for_its_key_keeps_its_whole_stream() {
    let issuer = Issuer::new();
    let (fetching, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let keys = RemoteKeySet::with_fetch({
        let (jwks, fetching, release) = (issuer.jwks(), fetching.clone(), release.clone());
        move |_| {
            let (jwks, fetching, release) = (jwks.clone(), fetching.clone(), release.clone());
            async move {
                fetching.notify_one();
                release.notified().await;
                Ok(JwksResponse::new(jwks))
            }
        }
    });
    let verifier = Verifier::builder(keys.build().unwrap()).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
    let channel = diary(verifier).await;
    let mut ada = client(&channel, token(&issuer, "ada"));

    let importing = tokio::spawn(async move { ada.import(stream::iter(["cogs", "tea"].map(entry))).await });
    fetching.notified().await;
    // Another call on the same connection does not wait.
    assert_eq!(client(&channel, "").read(ReadRequest {}).await.unwrap_err().code(), Code::Unauthenticated);
    assert!(!importing.is_finished());
    release.notify_one();
    assert_eq!(importing.await.unwrap().unwrap().into_inner().entries, 2);
}

#[tokio::test]
async fn health_and_reflection_need_no_token() {
    let channel = diary(Issuer::new().verifier()).await;
    assert_eq!(health(&channel).await.unwrap(), ServingStatus::Serving);

    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut responses = ServerReflectionClient::new(channel)
        .server_reflection_info(stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let response = responses.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(services)) = response else { panic!("{response:?}") };
    let names: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"diary.Diary".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_layer_around_the_whole_server_protects_health_too() {
    let issuer = Issuer::new();
    let auth = JwtAuthLayer::new(issuer.verifier()).rejection_response(GrpcRejection);
    let (_, service) = tonic_health::server::health_reporter();
    let server = Server::builder().layer(auth).add_service(service);
    let channel = connect(|incoming| server.serve_with_incoming(incoming)).await;
    assert_eq!(health(&channel).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_rejection_is_a_trailers_only_response() {
    let channel = diary(Issuer::new().verifier()).await;
    let call = http::Request::post("/diary.Diary/Write").header("content-type", "application/grpc");
    let response = channel.oneshot(call.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!((response.version(), response.status()), (Version::HTTP_2, StatusCode::OK));
    let headers =
        ["content-type", "grpc-status", "grpc-message"].map(|name| response.headers()[name].to_str().unwrap());
    assert_eq!(headers, ["application/grpc", "16", "a bearer token is required"]);
    assert!(response.body().is_end_stream());
}

async fn health(channel: &Channel) -> Result<ServingStatus, Status> {
    let request = HealthCheckRequest { service: "diary.Diary".to_owned() };
    Ok(HealthClient::new(channel.clone()).check(request).await?.into_inner().status())
}

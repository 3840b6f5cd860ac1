//! The service. The user is in the request's extensions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use better_auth_jwt::{Authenticated, Claims};
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tonic::{Request, Response, Status, Streaming};

use crate::proto::{Entry, ReadRequest, Word, Written, diary_server};

#[derive(Default)]
pub(crate) struct Diary {
    pages: Arc<Pages>,
}

#[tonic::async_trait]
impl diary_server::Diary for Diary {
    type ReadStream = BoxStream<'static, Result<Entry, Status>>;
    type FindStream = BoxStream<'static, Result<Entry, Status>>;

    async fn write(&self, request: Request<Entry>) -> Result<Response<Written>, Status> {
        let author = author(&request)?;
        let entries = self.pages.add(&author, [request.into_inner()]);
        Ok(Response::new(Written { author, entries }))
    }

    async fn import(&self, request: Request<Streaming<Entry>>) -> Result<Response<Written>, Status> {
        let author = author(&request)?;
        let imported: Vec<_> = request.into_inner().try_collect().await?;
        let entries = self.pages.add(&author, imported);
        Ok(Response::new(Written { author, entries }))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let entries = self.pages.find(&author(&request)?, "");
        Ok(Response::new(stream::iter(entries).map(Ok).boxed()))
    }

    async fn find(&self, request: Request<Streaming<Word>>) -> Result<Response<Self::FindStream>, Status> {
        let (pages, author) = (self.pages.clone(), author(&request)?);
        let found = request
            .into_inner()
            .map_ok(move |word| stream::iter(pages.find(&author, &word.text)).map(Ok))
            .try_flatten();
        Ok(Response::new(found.boxed()))
    }
}

/// The token's user. Fails only if the layer is missing.
fn author<T>(request: &Request<T>) -> Result<String, Status> {
    match request.extensions().get::<Authenticated<Claims>>() {
        Some(Authenticated(claims)) => Ok(claims.user_id().to_owned()),
        None => Err(Status::internal("the service has no JwtAuthLayer")),
    }
}

#[derive(Default)]
struct Pages(Mutex<HashMap<String, Vec<Entry>>>);

impl Pages {
    /// Adds entries, and returns the author's number of entries.
    fn add(&self, author: &str, entries: impl IntoIterator<Item = Entry>) -> u32 {
        let mut diaries = self.diaries();
        let diary = diaries.entry(author.to_owned()).or_default();
        diary.extend(entries);
        diary.len() as u32
    }

    fn find(&self, author: &str, word: &str) -> Vec<Entry> {
        let diaries = self.diaries();
        let diary = diaries.get(author).map(Vec::as_slice).unwrap_or_default();
        diary.iter().filter(|entry| entry.text.contains(word)).cloned().collect()
    }

    fn diaries(&self) -> MutexGuard<'_, HashMap<String, Vec<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

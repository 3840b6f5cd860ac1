//! A stream of an organization's events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, State},
    response::sse::{Event, Sse},
};
use better_auth_jwt::{Authenticated, Claims};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{interval, sleep};

use crate::{App, permissions::has_permission};

/// Events until the token expires, its session is revoked, or the user may not read the organization's notes any more.
pub(crate) async fn events(
    State(app): State<App>,
    Authenticated(claims): Authenticated<Claims>,
    Path(org_id): Path<String>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let expiry = sleep(app.verifier.remaining(&claims));
    let revocation = app.revoked.wait_for_revocation(&claims);
    // An event each second, in place of your source of events.
    let ticks = stream::unfold(interval(Duration::from_secs(1)), async |mut interval| {
        interval.tick().await;
        Some((Ok(Event::default().data("tick")), interval))
    });
    let while_member = ticks.take_while(move |_| {
        let (members, org_id, claims) = (app.members.clone(), org_id.clone(), claims.clone());
        async move {
            // If the database fails, the client connects again and gets 503 from the layer.
            let roles = members.roles(&org_id, claims.user_id()).await.ok().flatten();
            roles.is_some_and(|roles| has_permission(&roles, "note:read"))
        }
    });
    Sse::new(while_member.take_until(expiry).take_until(revocation))
}

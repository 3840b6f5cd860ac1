//! What one server has been told of ended sessions, the others know.

use std::time::Duration;

use crate::{
    database::{Database, execute, own_cluster},
    logout::{ORIGIN, get_status, list_status, logout_token, now, send_logout, serve, token_with_session, wait_until},
    sql::count,
};

/// Who waits for PostgreSQL to call.
const LISTENERS: &str =
    "pg_stat_activity WHERE datname = current_database() AND application_name = 'tasks-api' AND query LIKE 'LISTEN%'";

const SECOND: Duration = Duration::from_secs(1);

fn listening(database: &Database, replicas: i64) {
    wait_until(|| count(database.url(), LISTENERS) == replicas);
}

/// A revocation that is inserted directly, without `NOTIFY`.
fn insert(session: &str) -> String {
    format!("INSERT INTO revocations VALUES ('{ORIGIN}', '{session}', '', {}, txid_current())", now())
}

#[test]
fn logout_reaches_every_replica_within_a_second() {
    let database = Database::new();
    let replicas = [(); 3].map(|()| serve(database.url(), &[]));
    listening(&database, 3);
    for round in 0..20 {
        let session = format!("session {round}");
        let token = token_with_session(session.as_str());
        for replica in &replicas {
            assert_eq!(list_status(&replica.address, &token), 200);
        }
        let told = &replicas[round % 3];
        assert_eq!(send_logout(&told.address, &logout_token(&session)), 200);
        assert_eq!(list_status(&told.address, &token), 401, "who was told knows at once");
        let took = wait_until(|| replicas.iter().all(|replica| list_status(&replica.address, &token) == 401));
        assert!(took < SECOND, "{took:?}");
        for replica in &replicas {
            assert_eq!(list_status(&replica.address, &token_with_session("another")), 200);
        }
    }
}

#[test]
fn concurrent_logouts_all_reach_every_replica() {
    let database = Database::new();
    let replicas = [(); 2].map(|()| serve(database.url(), &[]));
    listening(&database, 2);
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let told = &replicas[writer % 2];
            scope.spawn(move || {
                for n in 0..25 {
                    assert_eq!(send_logout(&told.address, &logout_token(&format!("{writer}-{n}"))), 200);
                }
            });
        }
    });
    let tokens: Vec<String> =
        (0..8).flat_map(|writer| (0..25).map(move |n| token_with_session(format!("{writer}-{n}")))).collect();
    let took = wait_until(|| {
        tokens.iter().all(|token| replicas.iter().all(|replica| list_status(&replica.address, token) == 401))
    });
    assert!(took < 3 * SECOND, "{took:?}");
}

#[test]
fn replica_polls_after_losing_its_listen_connection_and_reconnects() {
    let database = Database::new();
    let replicas = [(); 2].map(|()| serve(database.url(), &[]));
    for round in 0..3 {
        listening(&database, 2);
        execute(database.url(), &format!("SELECT pg_terminate_backend(pid) FROM {LISTENERS}"));
        let (session, next) = (format!("session {round}"), format!("next {round}"));
        assert_eq!(send_logout(&replicas[0].address, &logout_token(&session)), 200);
        let took = wait_until(|| list_status(&replicas[1].address, &token_with_session(session.as_str())) == 401);
        assert!(took < 4 * SECOND, "{took:?}");

        listening(&database, 2);
        assert_eq!(send_logout(&replicas[0].address, &logout_token(&next)), 200);
        let took = wait_until(|| list_status(&replicas[1].address, &token_with_session(next.as_str())) == 401);
        assert!(took < SECOND, "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_committed_after_later_ones_is_loaded() {
    use sea_orm::{ConnectionTrait, TransactionTrait};

    let database = Database::new();
    let replicas = [(); 2].map(|()| serve(database.url(), &[]));
    listening(&database, 2);
    let db = sea_orm::Database::connect(database.url()).await.unwrap();
    let slow = db.begin().await.unwrap();
    slow.execute_unprepared(&insert("slow")).await.unwrap();
    for later in ["later", "much later"] {
        assert_eq!(send_logout(&replicas[0].address, &logout_token(later)), 200);
        wait_until(|| list_status(&replicas[1].address, &token_with_session(later)) == 401);
    }
    // Longer than it takes until the replicas look for themselves.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(list_status(&replicas[1].address, &token_with_session("slow")), 200);
    slow.commit().await.unwrap();
    wait_until(|| replicas.iter().all(|replica| list_status(&replica.address, &token_with_session("slow")) == 401));
    db.close().await.unwrap();
}

#[test]
fn unreadable_revocations_cause_503_after_max_staleness_unless_it_is_forever() {
    let database = Database::new();
    let closed = serve(database.url(), &[("TASKS_API_REVOCATION_MAX_STALENESS", "5s")]);
    let open = serve(database.url(), &[("TASKS_API_REVOCATION_MAX_STALENESS", "forever")]);
    let (phone, laptop) = (token_with_session("phone"), token_with_session("laptop"));
    execute(database.url(), "ALTER TABLE revocations RENAME TO hidden");
    // A revocation that replicas cannot read.
    execute(database.url(), &insert("phone").replace("revocations", "hidden"));
    assert_eq!(list_status(&closed.address, &phone), 200);
    let took = wait_until(|| list_status(&closed.address, &laptop) == 503);
    assert!((3 * SECOND..10 * SECOND).contains(&took), "{took:?}");
    assert_eq!((list_status(&closed.address, "nonsense"), get_status(&closed.address, "/readyz", "")), (401, 503));
    assert_eq!((list_status(&open.address, &phone), get_status(&open.address, "/readyz", "")), (200, 200));
    assert_eq!(send_logout(&open.address, &logout_token("laptop")), 503, "the sender is to try again");
    assert_eq!(list_status(&open.address, &laptop), 200);

    execute(database.url(), "ALTER TABLE hidden RENAME TO revocations");
    let took = wait_until(|| list_status(&closed.address, &laptop) == 200);
    assert!(took < 4 * SECOND, "{took:?}");
    assert_eq!((list_status(&closed.address, &phone), get_status(&closed.address, "/readyz", "")), (401, 200));
    wait_until(|| list_status(&open.address, &phone) == 401);
}

#[test]
fn a_database_that_is_away_is_503_in_the_end_even_where_it_is_not_needed_and_back_by_itself() {
    let Some(mut cluster) = own_cluster() else { return };
    let url = cluster.url();
    let server = serve(url.as_str(), &[("TASKS_API_REVOCATION_MAX_STALENESS", "5s")]);
    let laptop = token_with_session("laptop");
    let bobs = |token: &str| get_status(&server.address, "/api/bob/tasks", token);
    for signal in ["INT", "STOP"] {
        cluster.stop(signal);
        assert_eq!(bobs(&laptop), 403, "at first: who is not allowed need not wait for a database");
        assert_eq!(send_logout(&server.address, &logout_token("in vain")), 503);
        wait_until(|| bobs(&laptop) == 503);
        cluster.start();
        wait_until(|| bobs(&laptop) == 403);
        wait_until(|| list_status(&server.address, &laptop) == 200);
        wait_until(|| send_logout(&server.address, &logout_token(signal)) == 200);
        assert_eq!(
            (list_status(&server.address, &laptop), list_status(&server.address, &token_with_session(signal))),
            (200, 401)
        );
    }
}

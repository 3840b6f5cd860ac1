//! Direct SQL access to a test's database.

use std::thread;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

/// Runs a statement. Works inside and outside of a runtime.
pub(crate) fn execute(url: &str, statement: &str) {
    with_connection(url, async |db| db.execute_unprepared(statement).await.unwrap());
}

/// The number of rows in `table`, which may include a `WHERE` clause.
pub(crate) fn count(url: &str, table: &str) -> i64 {
    with_connection(url, async |db| {
        let count = Statement::from_string(db.get_database_backend(), format!("SELECT count(*) FROM {table}"));
        db.query_one_raw(count).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    })
}

fn with_connection<T: Send>(url: &str, query: impl AsyncFnOnce(&DatabaseConnection) -> T + Send) -> T {
    let run = || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let db = sea_orm::Database::connect(url).await.unwrap();
            let result = query(&db).await;
            db.close().await.unwrap();
            result
        })
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

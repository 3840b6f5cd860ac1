//! What HTTP cannot tell, asked of the database itself.

use std::thread;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

/// Runs a statement in any runtime, or in none.
pub(crate) fn execute(url: &str, statement: &str) {
    connected(url, async |db| drop(db.execute_unprepared(statement).await.unwrap()));
}

/// How many rows the table has, or what else stands between `FROM` and the end.
pub(crate) fn count(url: &str, table: &str) -> i64 {
    connected(url, async |db| {
        let count = Statement::from_string(db.get_database_backend(), format!("SELECT count(*) FROM {table}"));
        db.query_one_raw(count).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    })
}

fn connected<T: Send>(url: &str, work: impl AsyncFnOnce(&DatabaseConnection) -> T + Send) -> T {
    let run = || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let db = sea_orm::Database::connect(url).await.unwrap();
            let result = work(&db).await;
            db.close().await.unwrap();
            result
        })
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

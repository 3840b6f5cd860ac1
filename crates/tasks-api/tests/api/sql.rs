//! What HTTP cannot tell, asked of the database itself.

use std::thread;

use sea_orm::ConnectionTrait;

/// Runs a statement in any runtime, or in none.
pub(crate) fn execute(url: &str, statement: &str) {
    let run = || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let db = sea_orm::Database::connect(url).await.unwrap();
            db.execute_unprepared(statement).await.unwrap();
            db.close().await.unwrap();
        });
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap());
}

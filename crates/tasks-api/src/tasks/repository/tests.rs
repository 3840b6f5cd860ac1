use sea_orm::{QueryTrait, Statement};

use super::*;
use crate::{
    database::{Database, DatabaseConfig, unit_of_work::UserDatabase},
    http::pagination::Limit,
};

/// SQLite's plan of a statement: its parts.
async fn plan(work: &UnitOfWork, mut statement: Statement) -> String {
    statement.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
    let parts = work.query_all_raw(statement).await.unwrap();
    parts.iter().map(|part| part.try_get::<String>("", "detail").unwrap()).collect::<Vec<_>>().join("; ")
}

async fn plan_of_list(work: &UnitOfWork, completed: Option<bool>, sort: Sort, position: Option<Position>) -> String {
    let tasks = TaskRepository::new(work);
    let mut query = ListQuery { limit: Limit::default(), completed, q: String::new(), sort, cursor: None };
    query.cursor = position.map(|position| encode_cursor(&position, &tasks.identity(&query)).unwrap());
    plan(work, tasks.list(&query).unwrap().limit(21).build(DbBackend::Sqlite)).await
}

async fn unit_of_work() -> UnitOfWork {
    let database = Database::connect(&DatabaseConfig::new("sqlite::memory:").unwrap()).await.unwrap();
    UserDatabase::for_job(database, "ada").connect().await.unwrap()
}

#[tokio::test]
async fn lists_in_the_order_of_creation_are_read_from_an_index_without_sorting() {
    let work = unit_of_work().await;
    for sort in [Sort::Oldest, Sort::Newest] {
        for completed in [None, Some(false), Some(true)] {
            let plan = plan_of_list(&work, completed, sort, None).await;
            let index = if completed == Some(false) { "USING INDEX open_tasks" } else { "SEARCH tasks" };
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{completed:?}: {plan}");
        }
    }
}

#[tokio::test]
async fn lists_by_title_are_read_from_an_index_without_sorting_and_begin_at_the_cursor() {
    let work = unit_of_work().await;
    for sort in [Sort::Title, Sort::TitleDescending] {
        let plan = plan_of_list(&work, None, sort, None).await;
        assert!(plan.contains("USING INDEX tasks_by_title (user_id=?)") && !plan.contains("TEMP B-TREE"), "{plan}");
        let position = Position { id: Uuid::nil(), title: Some("t".into()) };
        let plan = plan_of_list(&work, None, sort, Some(position)).await;
        let compares = if sort == Sort::Title { '>' } else { '<' };
        let from = format!("(user_id=? AND (title,id){compares}(?,?))");
        assert!(plan.contains(&from) && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[tokio::test]
async fn a_task_is_found_by_its_primary_key() {
    let work = unit_of_work().await;
    let find = Entity::find_by_id(("ada".to_owned(), Uuid::nil())).build(DbBackend::Sqlite);
    let plan = plan(&work, find).await;
    assert!(plan.contains("(user_id=? AND id=?)"), "{plan}");
}

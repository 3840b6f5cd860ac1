//! Compares several queries to select the same rows with SeaORM: `cargo run --release -p server-bounds --bin seaorm`.
//! Uses SQLite in memory, or the empty database at `DATABASE_URL`.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::time::{Duration, Instant};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr,
    EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryResult, QuerySelect, QueryTrait, Schema, Set,
    Statement, sea_query::Order,
};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;
use uuid::Uuid;

use task::{ActiveModel, Column, Entity, Model};

mod task {
    #![expect(unreachable_pub, reason = "SeaORM derives public items from the model")]

    use sea_orm::entity::prelude::*;

    /// A row like those of `tasks-api`.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tasks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub title: String,
        pub description: Option<String>,
        pub completed: bool,
        pub version: i64,
        pub created_at: TimeDateTimeWithTimeZone,
        pub updated_at: TimeDateTimeWithTimeZone,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

const ROUNDS: usize = 9;
const TIMES: u32 = 4000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), DbErr> {
    let db = database().await?;
    for (rows, queries) in [("one row", Query::ONE), ("21 rows", Query::PAGE)] {
        let mut times = vec![Vec::new(); queries.len()];
        for _ in 0..ROUNDS {
            // Interleaved, so that other load on the machine affects all of them.
            for (query, times) in queries.iter().zip(&mut times) {
                let start = Instant::now();
                for _ in 0..TIMES {
                    query.run(&db).await?;
                }
                times.push(start.elapsed() / TIMES);
            }
        }
        let medians: Vec<_> = times.into_iter().map(median).collect();
        let sqlx = medians[medians.len() - 1].as_secs_f64();
        println!("\n| {rows} | µs | relative to sqlx |\n| --- | ---: | ---: |");
        for (query, time) in queries.iter().zip(medians) {
            let micros = time.as_secs_f64() * 1e6;
            println!("| {} | {micros:.1} | {:.2} |", query.name(), time.as_secs_f64() / sqlx);
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Query {
    One,
    AllByKey,
    Limited,
    AppendedLimit,
    Sql(Rows, Read),
}

#[derive(Clone, Copy)]
enum Rows {
    One,
    Page,
}

#[derive(Clone, Copy)]
enum Read {
    ByName,
    ByPosition,
    Sqlx,
}

impl Query {
    const ONE: &[Self] = &[
        Self::One,
        Self::AllByKey,
        Self::Sql(Rows::One, Read::ByName),
        Self::Sql(Rows::One, Read::ByPosition),
        Self::Sql(Rows::One, Read::Sqlx),
    ];
    const PAGE: &[Self] = &[
        Self::Limited,
        Self::AppendedLimit,
        Self::Sql(Rows::Page, Read::ByName),
        Self::Sql(Rows::Page, Read::ByPosition),
        Self::Sql(Rows::Page, Read::Sqlx),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::One => "`Entity::find().filter(key).one()`",
            Self::AllByKey => "`Entity::find().filter(key).all()`, the first",
            Self::Limited => "`Entity::find().filter(user).order_by(id).limit(21).all()`",
            Self::AppendedLimit => "the same, with ` LIMIT 21` appended to the built SQL",
            Self::Sql(_, Read::ByName) => "`Model::find_by_statement(constant SQL)`",
            Self::Sql(_, Read::ByPosition) => "the same, columns by position",
            Self::Sql(_, Read::Sqlx) => "sqlx, the same SQL, from the same pool",
        }
    }

    async fn run(self, db: &DatabaseConnection) -> Result<(), DbErr> {
        let backend = db.get_database_backend();
        let owned = Column::UserId.eq(USER);
        let found = match self {
            Self::One => {
                usize::from(Entity::find().filter(owned).filter(Column::Id.eq(id(7))).one(db).await?.is_some())
            }
            Self::AllByKey => Entity::find().filter(owned).filter(Column::Id.eq(id(7))).all(db).await?.len(),
            Self::Limited => {
                Entity::find().filter(owned).order_by(Column::Id, Order::Desc).limit(21).all(db).await?.len()
            }
            Self::AppendedLimit => {
                let mut list = Entity::find().filter(owned).order_by(Column::Id, Order::Desc).build(backend);
                list.sql.push_str(" LIMIT 21");
                Model::find_by_statement(list).all(db).await?.len()
            }
            Self::Sql(rows, Read::Sqlx) => sqlx_rows(db, rows).await?,
            Self::Sql(rows, read) => {
                let statement = match rows {
                    Rows::One => Statement::from_sql_and_values(backend, ONE, [USER.into(), id(7).into()]),
                    Rows::Page => Statement::from_sql_and_values(backend, PAGE, [USER.into()]),
                };
                match read {
                    Read::ByName => Model::find_by_statement(statement).all(db).await?.len(),
                    _ => ByPosition::find_by_statement(statement).all(db).await?.len(),
                }
            }
        };
        assert!(found == 1 || found == 21, "{} found {found}", self.name());
        Ok(())
    }
}

const USER: &str = "reader-4q8Xv2mZt7LrB9sKd3HwYc6Pf1Nj";
const ONE: &str = "SELECT user_id, id, title, description, completed, version, created_at, updated_at FROM tasks \
                   WHERE user_id = $1 AND id = $2";
const PAGE: &str = "SELECT user_id, id, title, description, completed, version, created_at, updated_at FROM tasks \
                    WHERE user_id = $1 ORDER BY id DESC LIMIT 21";

type Row = (String, Uuid, String, Option<String>, bool, i64, OffsetDateTime, OffsetDateTime);

async fn sqlx_rows(db: &DatabaseConnection, rows: Rows) -> Result<usize, DbErr> {
    macro_rules! fetch {
        ($pool:expr) => {
            match rows {
                Rows::One => sqlx::query_as::<_, Row>(AssertSqlSafe(ONE)).bind(USER).bind(id(7)).fetch_all($pool).await,
                Rows::Page => sqlx::query_as::<_, Row>(AssertSqlSafe(PAGE)).bind(USER).fetch_all($pool).await,
            }
        };
    }
    let found = match db.get_database_backend() {
        DbBackend::Postgres => fetch!(db.get_postgres_connection_pool()),
        _ => fetch!(db.get_sqlite_connection_pool()),
    };
    Ok(found.map_err(|error| DbErr::Custom(error.to_string()))?.into_iter().map(model).count())
}

fn model((user_id, id, title, description, completed, version, created_at, updated_at): Row) -> Model {
    Model { user_id, id, title, description, completed, version, created_at, updated_at }
}

struct ByPosition;

impl FromQueryResult for ByPosition {
    fn from_query_result(row: &QueryResult, _: &str) -> Result<Self, DbErr> {
        let _ = Model {
            user_id: row.try_get_by_index(0)?,
            id: row.try_get_by_index(1)?,
            title: row.try_get_by_index(2)?,
            description: row.try_get_by_index(3)?,
            completed: row.try_get_by_index(4)?,
            version: row.try_get_by_index(5)?,
            created_at: row.try_get_by_index(6)?,
            updated_at: row.try_get_by_index(7)?,
        };
        Ok(Self)
    }
}

/// A database with a thousand tasks, every third without a description.
async fn database() -> Result<DatabaseConnection, DbErr> {
    let url = std::env::var("DATABASE_URL").unwrap_or_else(|_| "sqlite::memory:".into());
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).test_before_acquire(false);
    let db = Database::connect(options).await?;
    let backend = db.get_database_backend();
    db.execute(&Schema::new(backend).create_table_from_entity(Entity)).await?;
    let created_at =
        OffsetDateTime::from_unix_timestamp(1_790_000_000).map_err(|error| DbErr::Custom(error.to_string()))?;
    for n in 0..1000 {
        let row = ActiveModel {
            user_id: Set(USER.to_owned()),
            id: Set(id(n)),
            title: Set(format!("Write letter {n}")),
            description: Set((n % 3 > 0).then(|| "to the house, in time for the post".to_owned())),
            completed: Set(n % 4 == 0),
            version: Set(1),
            created_at: Set(created_at),
            updated_at: Set(created_at),
        };
        row.insert(&db).await?;
    }
    Ok(db)
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + n)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

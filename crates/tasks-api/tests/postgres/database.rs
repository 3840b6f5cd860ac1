//! A database for each test: PostgreSQL's.

use std::{
    env,
    io::{self, Write},
    process,
    sync::OnceLock,
};

use url::Url;
use uuid::Uuid;

use crate::cluster::Cluster;
pub(crate) use crate::sql::execute;

pub(crate) struct Database {
    url: Url,
}

impl Database {
    pub(crate) fn new() -> Self {
        let name = format!("tasks_test_{}", Uuid::now_v7().simple());
        administer(&format!("CREATE DATABASE {name}"));
        Self { url: named(&name) }
    }

    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        administer(&format!("DROP DATABASE {} WITH (FORCE)", self.url.path().trim_start_matches('/')));
    }
}

/// Runs a statement beside the databases of the tests.
pub(crate) fn administer(statement: &str) {
    execute(server().as_str(), statement);
}

fn named(database: &str) -> Url {
    let mut url = server().clone();
    url.set_path(database);
    url
}

/// The PostgreSQL of this run: the one that `TEST_DATABASE_URL` names, else one of our own that ends with this process.
fn server() -> &'static Url {
    static SERVER: OnceLock<Url> = OnceLock::new();
    static OWN: OnceLock<Cluster> = OnceLock::new();
    SERVER.get_or_init(|| {
        if let Ok(given) = env::var("TEST_DATABASE_URL") {
            return given.parse().expect("TEST_DATABASE_URL is a URL");
        }
        // Without it every test of this binary is skipped.
        OWN.get_or_init(|| own_cluster().unwrap_or_else(|| process::exit(0))).url()
    })
}

/// A PostgreSQL that may be stopped; where there is none, this says that a test is skipped.
pub(crate) fn own_cluster() -> Option<Cluster> {
    const WHY: &str = "no PostgreSQL on this machine: install it (initdb, postgres and psql)";
    let cluster = Cluster::new();
    if cluster.is_none() {
        assert!(env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false"), "{WHY}");
        // Past the test harness, which keeps the output of tests to itself.
        let _ = writeln!(io::stderr(), "SKIPPED: tests on PostgreSQL, for there is {WHY}");
    }
    cluster
}

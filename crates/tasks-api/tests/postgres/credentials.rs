//! A server that PostgreSQL does not let in says so without its password.

use crate::{
    database::Database,
    process::{run, tasks_api},
    test_app::SECRET,
};

#[test]
fn a_rejected_login_is_reported_without_the_password() {
    let database = Database::new();
    let mut url: url::Url = database.url().parse().unwrap();
    url.set_password(Some("Hunt3rS3cret")).unwrap();
    let with = |name: &str, value: &str| {
        let mut url = url.clone();
        url.query_pairs_mut().append_pair(name, value);
        url.to_string()
    };
    let urls = [
        (with("user", "nobody_of_this_name"), "role \"nobody_of_this_name\" does not exist"),
        (with("dbname", "no_database_of_this_name"), "database \"no_database_of_this_name\" does not exist"),
        (with("sslmode", "require"), "server does not support TLS"),
        (with("sslmode", "verify-full") + "&sslrootcert=/no/such/file", "server does not support TLS"),
        (with("options", "-c work_mem=much"), "work_mem"),
        ("postgres://tasks:Hunt3rS3cret@127.0.0.1:1/tasks".to_owned(), "Connection refused"),
    ];
    for (url, reason) in urls {
        let directory = tempfile::tempdir().unwrap();
        let environment = [("DATABASE_URL", url.as_str()), ("BETTER_AUTH_SECRET", SECRET), ("RUST_LOG", "trace")];
        let output = run(tasks_api(&directory).args(["migrate", "up"]).envs(environment));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("DATABASE_URL"), "{url}: {said}");
        assert!(!said.contains("Hunt3rS3cret"), "{said}");
        assert!(said.contains(reason), "{url}: {said}");
    }
}

//! Database URLs, checked without repeating any part of them: they may contain a password.

use std::{fmt, path::PathBuf};

use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};
use url::{Url, form_urlencoded};

/// A database URL that the driver can parse.
///
/// It may contain a password. `Debug` hides it, and no error message repeats any part of it: the drivers' own messages
/// quote the URL or the value at fault, so they are replaced here.
#[derive(Clone)]
pub(crate) struct DatabaseUrl(String);

impl DatabaseUrl {
    /// # Errors
    /// Says what is wrong, to follow the name of the setting.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            check_postgres(text)?;
        } else if text.starts_with("sqlite:") {
            check_sqlite(text)?;
        } else {
            return Err("must begin with sqlite: or postgres://, for instance sqlite://tasks.db?mode=rwc".into());
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }

    /// The file of a SQLite database that is not in memory.
    pub(crate) fn sqlite_file(&self) -> Option<PathBuf> {
        let rest = self.0.strip_prefix("sqlite:")?;
        let (name, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let in_memory = name == ":memory:"
            || form_urlencoded::parse(parameters.as_bytes())
                .any(|parameter| parameter == ("mode".into(), "memory".into()));
        let options = self.0.parse::<SqliteConnectOptions>().ok()?;
        (!in_memory).then(|| options.get_filename().to_owned()).filter(|file| !file.as_os_str().is_empty())
    }

    /// The database without secrets: the file, or host, port and name.
    pub(crate) fn describe(&self) -> String {
        if self.is_sqlite() {
            return self.sqlite_file().map_or("SQLite in memory".into(), |file| format!("SQLite {}", file.display()));
        }
        let options = self.0.parse::<PgConnectOptions>().unwrap_or_default();
        let host = options.get_socket().map_or(options.get_host().to_owned(), |socket| socket.display().to_string());
        format!("PostgreSQL {host}:{}/{}", options.get_port(), options.get_database().unwrap_or_default())
    }

    /// Parameters that the driver ignores: a misspelt `sslmode` should be noticed.
    pub(crate) fn unknown_parameters(&self) -> Vec<String> {
        let url = Url::parse(&self.0).ok().filter(|_| !self.is_sqlite());
        let names = url.iter().flat_map(Url::query_pairs).map(|(name, _)| name.into_owned());
        names.filter(|name| !is_known(name)).collect()
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Default for DatabaseUrl {
    fn default() -> Self {
        Self("sqlite://tasks.db?mode=rwc".into())
    }
}

const ENCODE: &str = "percent-encode reserved characters in the user name and password: / is %2F, # is %23, ? is %3F, \
                      @ is %40, : is %3A, % is %25";

fn check_postgres(text: &str) -> Result<(), String> {
    // The URL parser drops tabs and line ends: the password would silently become another.
    if text.contains(|c: char| c.is_ascii_control()) {
        return Err(format!("contains a control character; {ENCODE}"));
    }
    // `url::ParseError` is a closed set of messages, none of which quotes its input.
    let url = Url::parse(text).map_err(|error| format!("cannot be parsed ({error}); {ENCODE}"))?;
    // The host ends at the first `/`, `?` or `#`. An `@` after it means that one of them belongs to the password.
    let unknown_with_at = url
        .query()
        .unwrap_or_default()
        .split('&')
        .any(|parameter| parameter.contains('@') && !is_known(parameter.split('=').next().unwrap_or_default()));
    if url.path().contains('@') || unknown_with_at || url.fragment().is_some() {
        return Err(format!("cannot be parsed; {ENCODE}"));
    }
    text.parse::<PgConnectOptions>().map(drop).map_err(|_| {
        format!("cannot be used: check the parameters after the question mark (sslmode, port, hostaddr); {ENCODE}")
    })
}

fn check_sqlite(text: &str) -> Result<(), String> {
    const EXAMPLE: &str =
        "it should look like sqlite://tasks.db?mode=rwc, with no parameters but mode, cache, immutable and vfs";
    let parsed = Url::parse(text).is_ok() && text.parse::<SqliteConnectOptions>().is_ok();
    if parsed { Ok(()) } else { Err(format!("cannot be parsed; {EXAMPLE}")) }
}

/// The parameters that sqlx understands.
fn is_known(name: &str) -> bool {
    const NAMES: [&str; 18] = [
        "application_name",
        "dbname",
        "host",
        "hostaddr",
        "options",
        "password",
        "port",
        "ssl-ca",
        "ssl-cert",
        "ssl-key",
        "ssl-mode",
        "ssl-root-cert",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "statement-cache-capacity",
        "user",
    ];
    NAMES.contains(&name) || name.starts_with("options[")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn urls_as_providers_hand_them_out_are_accepted() {
        for url in [
            "postgres://tasks:p%40ss@db.example.com:5432/tasks?sslmode=require&channel_binding=require",
            "postgresql://tasks@tenant:pw@db.example.com/tasks?pgbouncer=true",
            "postgres://db.example.com/tasks?user=tasks@tenant&password=p@ss",
            "postgres:///tasks?host=/var/run/postgresql",
            "postgres://%2Fvar%2Frun%2Fpostgresql/tasks",
            "postgres://tasks:@p:a ss@[::1]:5432/tasks\n",
            "postgres://tasks@db/tasks?options=-c%20search_path%3Dtasks&options[work_mem]=8MB",
            "sqlite://tasks.db?mode=rwc",
            "sqlite:///var/lib/tasks/tasks.db",
            "sqlite::memory:",
        ] {
            assert!(DatabaseUrl::parse(url).is_ok(), "{url:?}: {:?}", DatabaseUrl::parse(url));
        }
    }

    #[test]
    fn parameters_that_the_driver_does_not_know_are_found() {
        let url = DatabaseUrl::parse("postgres://db/tasks?sslmode=require&sslmod=x&pgbouncer=true").unwrap();
        assert_eq!(url.unknown_parameters(), ["sslmod", "pgbouncer"]);
        assert!(DatabaseUrl::default().unknown_parameters().is_empty());
    }

    #[test]
    fn a_sqlite_file_is_known_unless_the_database_is_in_memory() {
        for (url, file) in [
            ("sqlite://tasks.db?mode=rwc", Some("tasks.db")),
            ("sqlite:a%20b/tasks.db", Some("a b/tasks.db")),
            ("sqlite:///var/tasks.db", Some("/var/tasks.db")),
            ("sqlite::memory:", None),
            ("sqlite://tasks.db?mode=memory&cache=shared", None),
            ("postgres://db/tasks", None),
        ] {
            assert_eq!(DatabaseUrl::parse(url).unwrap().sqlite_file().as_deref(), file.map(Path::new), "{url}");
        }
    }
}

//! The command line.

use std::{
    env,
    ffi::OsStr,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};
use utoipa::OpenApi;

use tracing::warn;

use crate::{
    config::{self, DatabaseArgs, IssuerArgs, ListenArgs, LogArgs, Requires, ServerArgs, ServerConfig},
    database::migrate,
    dev, healthcheck, log,
    ops::openapi::Document,
    server,
    token::{self, TokenArgs},
};

/// A tasks API behind tokens that Better Auth issues.
///
/// Settings are flags or environment variables. `tasks-api dev` needs none.
#[derive(Parser)]
#[command(name = "tasks-api", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(ServerArgs),
    /// Run with a random secret and print a token and curl commands
    Dev(ServerArgs),
    /// Print a token for a user, signed with BETTER_AUTH_SECRET
    ///
    /// Set issuer and audience as for the server, or the server rejects the token.
    Token {
        #[command(flatten)]
        token: TokenArgs,
        #[command(flatten)]
        issuer: IssuerArgs,
    },
    /// Change or show the database's schema
    Migrate {
        #[command(subcommand)]
        migrate: Migrate,
        #[command(flatten)]
        log: LogArgs,
    },
    /// Exit with 0 if the server on this machine responds, for container health checks
    Healthcheck {
        /// Check readiness (/readyz) instead of liveness (/healthz)
        #[arg(long)]
        ready: bool,
        #[command(flatten)]
        listen: ListenArgs,
    },
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Subcommand)]
enum Migrate {
    /// Apply pending migrations
    Up {
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Revert the last migration, or more
    Down {
        /// How many migrations to revert
        #[arg(default_value_t = 1)]
        count: u32,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// List migrations, applied and pending
    Status {
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { command } = match parse() {
        Ok(cli) => cli,
        Err(error) => without_values(error).exit(),
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be reported if standard error is closed.
            let _ = writeln!(io::stderr(), "tasks-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Cli, clap::Error> {
    // Secrets are set in the environment, and URLs may contain passwords: the help shows no values of it.
    let command = Cli::command().mut_subcommands(|command| {
        command
            .mut_args(|argument| argument.hide_env_values(true))
            .mut_subcommands(|command| command.mut_args(|argument| argument.hide_env_values(true)))
    });
    Cli::from_arg_matches(&command.try_get_matches()?)
}

/// The error without what was typed: it may be a secret that was not quoted, or follows a misspelt name.
fn without_values(mut error: clap::Error) -> clap::Error {
    let hidden = || ContextValue::String("(not shown, since it may be a secret)".into());
    match error.kind() {
        clap::error::ErrorKind::UnknownArgument => {
            error.insert(ContextKind::InvalidArg, hidden());
        }
        clap::error::ErrorKind::InvalidSubcommand => {
            error.insert(ContextKind::InvalidSubcommand, hidden());
        }
        clap::error::ErrorKind::InvalidValue | clap::error::ErrorKind::ValueValidation => {
            error.insert(ContextKind::InvalidValue, hidden());
        }
        _ => {}
    }
    // "To pass … as a value" repeats it. Names that are similar are in contexts of their own.
    error.remove(ContextKind::Suggested);
    error
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => {
            let config = ServerConfig::parse(&args, Requires::Key)?;
            let _log = log::init(config.log)?;
            warn_of_unknown_settings();
            block_on(server::serve(config))
        }
        Command::Dev(args) => {
            let config = ServerConfig::parse(&args, Requires::Nothing)?;
            let _log = log::init(config.log)?;
            block_on(dev::dev(config))
        }
        Command::Token { token, issuer } => token::print(&token, &config::issuer(issuer, Requires::Secret)?),
        Command::Migrate { migrate, log } => {
            let _log = log::init(config::log_config(&log)?)?;
            block_on(async move { print(&change_schema(migrate).await?) })
        }
        Command::Healthcheck { ready, listen } => {
            block_on(healthcheck::check(config::probe_address(&listen)?, if ready { "/readyz" } else { "/healthz" }))
        }
        Command::Openapi => print(&format!("{}\n", Document::openapi().to_pretty_json()?)),
    }
}

/// A misspelt setting would have no effect. Other programs may have variables that begin with `BETTER_AUTH_`.
fn warn_of_unknown_settings() {
    let command = Cli::command();
    let known: Vec<&OsStr> =
        command.get_subcommands().flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_env).collect();
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("TASKS_API_") && !known.contains(&&*name) {
            warn!(name = %name.display(), "unknown setting");
        }
    }
}

/// The result is a line for each migration.
async fn change_schema(command: Migrate) -> anyhow::Result<String> {
    let lines =
        |state: &str, names: &[String]| names.iter().map(|name| format!("{state}  {name}\n")).collect::<String>();
    let or_none = |changed: String| if changed.is_empty() { "nothing to do\n".to_owned() } else { changed };
    Ok(match command {
        Migrate::Up { database } => {
            or_none(lines("applied", &migrate::up(&config::database_config(&database)?).await?))
        }
        Migrate::Down { count, database } => {
            or_none(lines("reverted", &migrate::down(&config::database_config(&database)?, count).await?))
        }
        Migrate::Status { database } => {
            let found = migrate::status(&config::database_config(&database)?).await?;
            let unknown = lines("unknown", &found.unknown).replace('\n', " (applied by a newer release)\n");
            lines("applied", &found.applied) + &lines("pending", &found.pending) + &unknown
        }
    })
}

fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new().context("cannot start the runtime")?.block_on(command)
}

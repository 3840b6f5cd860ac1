use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};

use crate::{
    config::{Config, ConfigFaults, Needs, Settings},
    database, dev, log, openapi, serve,
    token::{self, TokenArgs},
};

/// Runs the command that the arguments name; what `main` calls.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { command, settings } = match parse() {
        Ok(cli) => cli,
        Err(error) => without_values(error).exit(),
    };
    match run(command, settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "tasks-api: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Why a command ended early: a sentence that says what to do.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<ConfigFaults> for Failure {
    fn from(faults: ConfigFaults) -> Self {
        Self(faults.to_string())
    }
}

/// Six endpoints for tasks, behind tokens that Better Auth issues.
#[derive(Parser)]
#[command(name = "tasks-api", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum Command {
    /// Serve; tokens come from the Better Auth server that the settings name
    Serve,
    /// Try it out: serve with a random secret, and print a token and curl lines
    Dev,
    /// Print a token for a user, signed with BETTER_AUTH_SECRET
    Token(TokenArgs),
    /// Bring the database's tables up to date, and end
    Migrate,
    /// Print the API's description, OpenAPI 3.1
    Openapi,
}

fn parse() -> Result<Cli, clap::Error> {
    // Secrets are set in the environment, and URLs may contain passwords: the help shows no values of it.
    let command = Cli::command().mut_args(|argument| argument.hide_env_values(true));
    Cli::from_arg_matches(&command.try_get_matches()?)
}

/// The error without what was typed: it may be a secret that was not quoted, or follows a misspelt name.
fn without_values(mut error: clap::Error) -> clap::Error {
    let hidden = || ContextValue::String("(not shown)".into());
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

fn run(command: Command, settings: Settings) -> Result<(), Failure> {
    let needs = match command {
        Command::Serve => Needs::AnyKey,
        Command::Token(_) => Needs::Secret,
        Command::Dev | Command::Migrate | Command::Openapi => Needs::Nothing,
    };
    let config = Config::read(settings, needs)?;
    let _log = log::to_stderr(config.json_log)?;
    match command {
        Command::Serve => block_on(serve::serve(config)),
        Command::Dev => block_on(dev::dev(config)),
        Command::Token(args) => token::print(&args, &config.auth),
        Command::Openapi => writeln!(io::stdout(), "{:#}", openapi::document())
            .map_err(|error| Failure::new(format!("cannot write to standard output: {error}."))),
        Command::Migrate => block_on(async move { database::connect(&config.database_url).await.map(drop) }),
    }
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new(format!("The system gives no threads to run on: {error}.")))?
        .block_on(command)
}

//! All errors of a configuration, reported together.

use std::{fmt, fs};

/// One message for each error, with a remedy. No message contains a value that may be secret.
#[derive(Debug, Default)]
pub(crate) struct ConfigErrors(Vec<String>);

impl ConfigErrors {
    pub(super) fn push(&mut self, error: impl Into<String>) {
        self.0.push(error.into());
    }

    /// The value of the setting `name`, if there is one and it is valid.
    pub(super) fn parse<T>(
        &mut self,
        name: &str,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(text?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.push(format!("{name} {error}"));
                None
            }
        }
    }

    /// The text of the setting `name`, or the content of the file at the path `{name}_FILE`, without a trailing newline.
    pub(super) fn text_or_file(&mut self, name: &str, text: &Option<String>, file: &Option<String>) -> Option<String> {
        match (non_empty(text), non_empty(file)) {
            (Some(_), Some(_)) => {
                self.push(format!("{name} and {name}_FILE are both set; unset one of them"));
                None
            }
            (Some(text), None) => Some(text.to_owned()),
            (None, Some(path)) => match fs::read_to_string(path) {
                Ok(content) if !content.trim().is_empty() => Some(
                    content
                        .strip_suffix('\n')
                        .map_or(&*content, |line| line.strip_suffix('\r').unwrap_or(line))
                        .to_owned(),
                ),
                Ok(_) => {
                    self.push(format!("{name}_FILE names an empty file"));
                    None
                }
                // The message omits the path, which may be a misplaced secret.
                Err(error) => {
                    self.push(format!("{name}_FILE cannot be read: {error}; it must be the path of a text file"));
                    None
                }
            },
            (None, None) => None,
        }
    }

    pub(super) fn into_result<T>(self, config: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(config) } else { Err(self) }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid configuration:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  - {error}"))
    }
}

impl std::error::Error for ConfigErrors {}

pub(super) fn non_empty(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// The remedy if a URL cannot be used because of its scheme.
pub(super) fn plain_http_hint(url: &str, allow_http: bool) -> &'static str {
    if url.starts_with("http:") && !allow_http {
        "; or set BETTER_AUTH_ALLOW_HTTP=true where the network between is trusted"
    } else {
        ""
    }
}

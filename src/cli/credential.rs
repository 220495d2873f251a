//! The source of a caller's credential: a file, the name of a credential mounted in
//! the worker, or `FIREWORKS_API_KEY`. Never an argument, which every user of the
//! machine could read.

use std::{env, path::PathBuf};

use anyhow::{Context, anyhow};
use zeroize::Zeroizing;

use super::failure::CommandError;
use crate::{
    credentials::ApiKey,
    files,
    proto::{Credential, credential::Source},
};

/// The variable that holds a key if no flag names another source: the same as for
/// the provider's own tools.
const VARIABLE: &str = "FIREWORKS_API_KEY";

/// The arguments that select a credential.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Credential (else FIREWORKS_API_KEY from the environment)")]
pub(super) struct CredentialArgs {
    /// A file that holds the Fireworks API key; a trailing newline is ignored.
    #[arg(
        long,
        env = "SPARKLER_API_KEY_FILE",
        value_name = "FILE",
        conflicts_with = "secret_name"
    )]
    api_key_file: Option<PathBuf>,

    /// The name of a credential that is mounted in the worker.
    #[arg(long, env = "SPARKLER_SECRET_NAME", value_name = "NAME")]
    secret_name: Option<String>,
}

impl CredentialArgs {
    /// Returns the credential, if there is one.
    pub(super) fn read(&self) -> Result<Option<Credential>, CommandError> {
        let source = if let Some(name) = &self.secret_name {
            Some(Source::SecretName(name.clone()))
        } else if let Some(path) = &self.api_key_file {
            let text = files::read_text(path)
                .with_context(|| format!("--api-key-file {} cannot be read", path.display()))
                .map_err(CommandError::Usage)?;
            Some(key(&text, &path.display().to_string())?)
        } else {
            match env::var(VARIABLE) {
                Ok(text) => Some(key(&Zeroizing::new(text), VARIABLE)?),
                Err(env::VarError::NotPresent) => None,
                Err(env::VarError::NotUnicode(_)) => {
                    return Err(CommandError::Usage(anyhow!("{VARIABLE} is not text")));
                }
            }
        };
        Ok(source.map(|source| Credential { source: Some(source) }))
    }
}

/// Validates the key in a text. Checked here because only the command knows the
/// key's origin.
fn key(text: &str, origin: &str) -> Result<Source, CommandError> {
    let key = text.trim_end_matches(['\r', '\n']);
    ApiKey::new(key.to_owned())
        .map_err(|problem| CommandError::Usage(anyhow!("the API key in {origin} {problem}")))?;
    Ok(Source::ApiKey(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_after_the_key_is_ignored_and_anything_else_is_not() {
        for text in ["fw_key", "fw_key\n", "fw_key\r\n"] {
            assert!(matches!(key(text, "file"), Ok(Source::ApiKey(key)) if key == "fw_key"));
        }
        for text in ["", "\n", "fw_key \n", "fw key"] {
            let Err(CommandError::Usage(problem)) = key(text, "key.txt") else {
                panic!("{text:?} was taken for a key");
            };
            assert!(problem.to_string().starts_with("the API key in key.txt "), "{problem}");
        }
    }
}

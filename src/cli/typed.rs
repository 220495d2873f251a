//! Parses the command line and the environment: reports every invalid value of
//! `serve` at once, and records where each value came from.
//!
//! clap stops at the first invalid value, so the parse is repeated without it until
//! no value is invalid.

use std::{collections::BTreeMap, env, ffi::OsString};

use clap::{
    ArgMatches, Command, CommandFactory, Error, FromArgMatches,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};
use serde_json::{Map, Value};

use super::Program;

/// The values given on the command line and in the environment.
#[derive(Debug, Default)]
pub(super) struct Typed {
    /// The values in effect, defaults included. They may name files with secrets,
    /// but contain no secrets.
    pub(super) values: Map<String, Value>,
    /// The problems of the values.
    pub(super) problems: Vec<String>,
    /// Variables that look like settings but are not, one sentence each.
    pub(super) strangers: Vec<String>,
    /// The variables that supplied values, by flag.
    variables: BTreeMap<String, String>,
}

/// The variables without a flag.
const VARIABLES_ONLY: &[&str] = &["SPARKLER_REDIS_PASSWORD"];
const PREFIX: &str = "SPARKLER_";
/// Bounds the repeated parses; there are fewer flags than this.
const MOST_PROBLEMS: usize = 200;
/// The length in characters up to which an invalid value is quoted.
const QUOTED: usize = 80;

/// Parses the command line.
///
/// # Errors
///
/// Returns clap's error if it is a request for help or is not about a value of
/// `serve`.
pub(super) fn parse(mut argv: Vec<OsString>) -> Result<(Program, Typed), Error> {
    let mut command = Program::command().mut_subcommands(without_empty_variables);
    let mut problems = Vec::new();
    while problems.len() < MOST_PROBLEMS {
        let error = match command.clone().try_get_matches_from(&argv) {
            Ok(matches) => return understood(&command, &matches, problems),
            Err(error) => error,
        };
        let flag = flag_of(&error).filter(|_| is_serve(&argv));
        let Some(flag) = flag else { return Err(with(problems, error)) };
        problems.push(problem(&command, &argv, &flag, &error));
        if !take_out(&mut argv, &flag) {
            command = command.mut_subcommand("serve", |serve| without_variable(serve, &flag));
        }
    }
    Err(Error::raw(ErrorKind::ValueValidation, problems.join("; ")))
}

impl Typed {
    /// Adds the variable's name to a problem if the flag's value came from one.
    pub(super) fn named(&self, problem: &str) -> String {
        let mut named = String::with_capacity(problem.len());
        let mut rest = problem;
        while let Some(start) = rest.find("--") {
            let length = rest[start + 2..]
                .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'))
                .map_or(rest.len(), |end| start + 2 + end);
            let flag = &rest[start..length];
            named.push_str(&rest[..start]);
            named.push_str(self.variables.get(flag).map_or(flag, String::as_str));
            rest = &rest[length..];
        }
        named + rest
    }
}

fn understood(
    command: &Command,
    matches: &ArgMatches,
    problems: Vec<String>,
) -> Result<(Program, Typed), Error> {
    let program = Program::from_arg_matches(matches)?;
    let mut typed = Typed { problems, ..Typed::default() };
    let chosen = matches
        .subcommand()
        .and_then(|(name, matches)| Some((command.find_subcommand(name)?, matches)));
    if let Some((chosen, matches)) = chosen {
        typed.strangers = strangers(&Program::command());
        read(chosen, matches, &mut typed);
    }
    Ok((program, typed))
}

fn read(command: &Command, matches: &ArgMatches, typed: &mut Typed) {
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        let Ok(Some(raw)) = matches.try_get_raw(id) else { continue };
        let mut values: Vec<Value> = raw.map(|raw| value(&raw.to_string_lossy())).collect();
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        typed.values.insert(id.to_owned(), value);
        let from = matches.value_source(id) == Some(ValueSource::EnvVariable);
        if let (true, Some(long), Some(variable)) = (from, arg.get_long(), arg.get_env()) {
            let variable = variable.to_string_lossy().into_owned();
            typed.variables.insert(format!("--{long}"), variable);
        }
    }
}

/// Parses numbers and booleans; anything else is text.
fn value(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}

fn is_serve(argv: &[OsString]) -> bool {
    argv.get(1).is_some_and(|command| command == "serve")
}

/// Returns the flag that an error is about, if the parse can continue without it.
fn flag_of(error: &Error) -> Option<String> {
    let without = [ErrorKind::ValueValidation, ErrorKind::InvalidValue, ErrorKind::UnknownArgument];
    let text = text_of(error, ContextKind::InvalidArg).filter(|_| without.contains(&error.kind()));
    text?.split([' ', '=']).next().map(str::to_owned)
}

/// Puts the earlier problems before clap's error, unless that is help.
fn with(mut problems: Vec<String>, error: Error) -> Error {
    if problems.is_empty() || !error.use_stderr() {
        return error;
    }
    let said = error.to_string();
    let first = said.lines().next().unwrap_or_default();
    problems.push(first.strip_prefix("error: ").unwrap_or(first).to_owned());
    Error::raw(ErrorKind::ValueValidation, problems.join("; "))
}

fn text_of(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

fn problem(command: &Command, argv: &[OsString], flag: &str, error: &Error) -> String {
    let typed = argv.iter().any(|word| is_flag(word, flag));
    let variable = variable_of(command, flag).filter(|_| !typed);
    let name = variable.as_deref().unwrap_or(flag);
    if error.kind() == ErrorKind::UnknownArgument {
        let nearest = text_of(error, ContextKind::SuggestedArg);
        return format!("{name} is not a setting{}", did_you_mean(nearest));
    }
    let value: String = text_of(error, ContextKind::InvalidValue)
        .unwrap_or_default()
        .chars()
        .take(QUOTED)
        .collect();
    format!("{name} {value:?}: {}", reason(error))
}

fn reason(error: &Error) -> String {
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue) {
        return format!("must be one of {}", values.join(", "));
    }
    std::error::Error::source(error)
        .map_or_else(|| "a value is missing".to_owned(), ToString::to_string)
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

fn variable_of(command: &Command, flag: &str) -> Option<String> {
    let serve = command.find_subcommand("serve")?;
    let arg = serve.get_arguments().find(|arg| arg.get_long() == flag.strip_prefix("--"))?;
    Some(arg.get_env()?.to_string_lossy().into_owned())
}

fn is_flag(word: &OsString, flag: &str) -> bool {
    let rest = word.to_str().and_then(|word| word.strip_prefix(flag));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// Removes a flag and its value, and returns true if it was there. `serve` has no
/// positional arguments: a word after a flag is its value.
fn take_out(argv: &mut Vec<OsString>, flag: &str) -> bool {
    let Some(at) = argv.iter().position(|word| is_flag(word, flag)) else {
        return false;
    };
    let word = argv.remove(at);
    let has_value = word.to_str().is_some_and(|word| word.contains('='));
    while !has_value && argv.get(at).is_some_and(|next| !next.to_string_lossy().starts_with('-')) {
        argv.remove(at);
    }
    true
}

/// Treats an empty variable as unset.
fn without_empty_variables(command: Command) -> Command {
    command.mut_args(|arg| {
        let is_empty = |name| env::var_os(name).is_some_and(|value| value.is_empty());
        if arg.get_env().is_some_and(is_empty) { arg.env(Resettable::Reset) } else { arg }
    })
}

fn without_variable(command: Command, flag: &str) -> Command {
    command.mut_args(|arg| {
        let same = arg.get_long() == flag.strip_prefix("--");
        if same { arg.env(Resettable::Reset) } else { arg }
    })
}

/// Describes the variables with Sparkler's prefix that no command reads.
fn strangers(command: &Command) -> Vec<String> {
    let known: Vec<String> = command
        .get_subcommands()
        .flat_map(Command::get_arguments)
        .filter_map(|arg| arg.get_env().map(|name| name.to_string_lossy().into_owned()))
        .chain(VARIABLES_ONLY.iter().map(|name| (*name).to_owned()))
        .collect();
    env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| stranger(&name.to_string_lossy(), &known))
        .collect()
}

fn stranger(name: &str, known: &[String]) -> Option<String> {
    let is_known = known.iter().any(|known| known == name);
    if !name.starts_with(PREFIX) || is_known || is_service_link(name) {
        return None;
    }
    let nearest = known
        .iter()
        .map(|known| (strsim::jaro(&known[PREFIX.len()..], &name[PREFIX.len()..]), known))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .filter(|(likeness, _)| *likeness > 0.75);
    let nearest = did_you_mean(nearest.map(|(_, known)| known.as_str()));
    Some(format!("{name} is not a setting and is ignored{nearest}"))
}

/// Returns true for the variables that Kubernetes sets for a Service named
/// `sparkler`.
fn is_service_link(name: &str) -> bool {
    let name = &name[PREFIX.len()..];
    name.contains("SERVICE_HOST")
        || name.contains("SERVICE_PORT")
        || name == "PORT"
        || name
            .split_once("PORT_")
            .is_some_and(|(_, rest)| rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(argv: &[&str]) -> Typed {
        let argv = ["sparkler", "serve"].iter().chain(argv).map(OsString::from).collect();
        parse(argv).expect("the parse goes on").1
    }

    #[test]
    fn every_wrong_value_is_named() {
        let found = typed(&[
            "--queue-timeout=soon",
            "--max-executions",
            "-3",
            "--log-format=xml",
            "--listen",
            "nowhere",
            "--quue-length=3",
            "--drain-limit=99999999999999d",
        ]);
        assert_eq!(found.problems.len(), 7, "{:?}", found.problems);
        for word in ["soon", "-3", "--max-executions", "text, json", "nowhere", "--queue-length?"] {
            let named = found.problems.iter().any(|problem| problem.contains(word));
            assert!(named, "{word} is missing in {:?}", found.problems);
        }
        assert_eq!(found.values["max_executions"], 10_000, "its default is in force meanwhile");
    }

    #[test]
    fn what_is_not_about_values_stays_claps() {
        for argv in [&["sparkler", "serve", "--help"][..], &["sparkler", "sreve"], &["sparkler"]] {
            parse(argv.iter().map(OsString::from).collect()).expect_err("clap answers");
        }
    }

    #[test]
    fn the_values_in_force_are_of_their_types() {
        let found = typed(&["--queue-length=7", "--trust-tenant"]);
        assert_eq!(found.values["queue_length"], 7);
        assert_eq!(found.values["trust_tenant"], true);
        assert_eq!(found.values["queue_timeout"], "10s");
        assert!(!found.values.contains_key("redis_url"), "it has none");
    }

    #[test]
    fn a_problem_names_the_variable_that_the_value_came_from() {
        let variables = [("--drain-limit".to_owned(), "SPARKLER_DRAIN_LIMIT".to_owned())];
        let typed = Typed { variables: variables.into(), ..Typed::default() };
        let named = typed.named("--drain-limit, --drain-limits must be more than 0 --");
        assert_eq!(named, "SPARKLER_DRAIN_LIMIT, --drain-limits must be more than 0 --");
    }

    #[test]
    fn a_misspelt_variable_is_named_with_its_nearest() {
        let known = ["SPARKLER_MAX_EXECUTIONS".to_owned(), "SPARKLER_LOG".to_owned()];
        let said = stranger("SPARKLER_MAX_EXECUTION", &known).expect("misspelt");
        assert!(said.contains("did you mean SPARKLER_MAX_EXECUTIONS?"), "{said}");
        let said = stranger("SPARKLER_QQ", &known).expect("unknown");
        assert!(!said.contains("did you mean"), "{said}");
        for fine in ["SPARKLER_LOG", "PATH", "SPARKLER_SERVICE_HOST", "SPARKLER_PORT_50051_TCP"] {
            assert_eq!(stranger(fine, &known), None);
        }
    }
}

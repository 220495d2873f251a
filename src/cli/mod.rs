//! The command line: parsing, dispatch, exit codes. One file per command.
//!
//! `execute`, `check`, `nodes`, `models` and `demo` are ordinary clients: they use a worker
//! only through its gRPC API. `bench` also calls the provider without one, and `prices`
//! calls nothing.

mod bench;
mod check;
mod core_dumps;
mod credential;
#[cfg(feature = "simulator")]
mod demo;
mod execute;
mod failure;
mod json;
pub(crate) mod log;
mod messages;
mod models;
mod node;
mod nodes;
mod prices;
mod serve;
#[cfg(feature = "simulator")]
mod simulate;
mod table;
mod terminal;
mod typed;
mod units;
mod worker;

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use failure::CommandError;
use typed::Typed;

/// Executes Fireworks.ai nodes for visual-flow orchestrators.
///
/// `sparkler serve` is the worker; `execute`, `check`, `nodes` and `models` call one;
/// `bench` measures one, or the provider itself; `prices` prints what tokens cost;
/// `simulate` stands in for Fireworks; `demo` shows all of it without a key.
#[derive(Debug, Parser)]
#[command(name = "sparkler", version, about, long_about, after_help = EXAMPLES)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the worker until it is asked to stop.
    #[command(after_help = serve::EXAMPLES)]
    Serve(Box<serve::ServeCommand>),
    /// Execute one node and print its answer as it arrives.
    #[command(after_help = execute::EXAMPLES)]
    Execute(Box<execute::ExecuteArgs>),
    /// Check a node's fields, credential and model, without spending tokens.
    #[command(after_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// Measure models, prompts and loads: times, tokens, errors and cost.
    #[command(after_help = bench::EXAMPLES)]
    Bench(Box<bench::BenchArgs>),
    /// List the node types of a worker, with their fields.
    #[command(after_help = nodes::EXAMPLES)]
    Nodes(nodes::NodesArgs),
    /// List the models that a credential can use, with prices and ends.
    #[command(after_help = models::EXAMPLES)]
    Models(models::ModelsArgs),
    /// Print the prices of tokens, or what differs in another table.
    #[command(after_help = prices::EXAMPLES)]
    Prices(prices::PricesArgs),
    /// Run a local stand-in for Fireworks, faults included.
    #[cfg(feature = "simulator")]
    #[command(after_help = simulate::EXAMPLES)]
    Simulate(Box<simulate::SimulateArgs>),
    /// Show a worker at work: streamed, cached, joined and refused.
    #[cfg(feature = "simulator")]
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::DemoArgs),
}

const EXAMPLES: &str = "\
Examples:
  sparkler demo
  sparkler serve --callers-file callers.json
  FIREWORKS_API_KEY=… sparkler execute --model accounts/fireworks/models/glm-5p3 \"Say hello.\"

Exit codes: 0 fine, 1 the run failed, 2 bad usage, 130 interrupted, 143 ended at once.
Every flag can be given as the environment variable named beside it; a flag wins.";

/// Runs the program. The exit code is 0 for success, 1 for a failed run, 2 for bad
/// usage, 130 after Ctrl-C and 143 after a second SIGTERM.
pub fn main() -> ExitCode {
    let argv: Vec<OsString> = env::args_os().collect();
    let json = log::is_json(&argv);
    let (program, typed) = match typed::parse(argv) {
        Ok(parsed) => parsed,
        Err(answer) if json && answer.use_stderr() => {
            return failed(&answer.to_string(), usage_code(&answer));
        }
        // clap chooses between stdout (help) and stderr (mistakes).
        Err(answer) => {
            // If even that cannot be written, the exit code still reports it.
            let _ = answer.print();
            return usage_code(&answer);
        }
    };
    match program.command.run(&typed) {
        Ok(code) => code,
        Err(failure) if json => failed(&failure.to_string(), failure.exit_code()),
        Err(failure) => failure.report(),
    }
}

fn usage_code(answer: &clap::Error) -> ExitCode {
    ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2))
}

/// Reports the failure of a worker that has no log yet, as JSON if requested.
fn failed(message: &str, code: ExitCode) -> ExitCode {
    // If stderr is closed, the exit code still reports the failure.
    let _ = writeln!(io::stderr(), "{}", log::json_failure(message.trim_end()));
    code
}

impl Command {
    fn run(self, typed: &Typed) -> Result<ExitCode, CommandError> {
        match self {
            Command::Serve(command) => command.run(typed),
            Command::Execute(args) => caller()?.block_on(args.run()),
            Command::Check(args) => caller()?.block_on(args.run()),
            Command::Bench(args) => caller()?.block_on(args.run()),
            Command::Nodes(args) => caller()?.block_on(args.run()),
            Command::Models(args) => caller()?.block_on(args.run()),
            Command::Prices(args) => args.run(),
            #[cfg(feature = "simulator")]
            Command::Simulate(args) => runtime(cores())?.block_on(args.run()),
            #[cfg(feature = "simulator")]
            Command::Demo(args) => runtime(cores())?.block_on(args.run()),
        }
    }
}

/// Builds a client's runtime: a second thread lets a worker in this process
/// continue while the command waits for a slow reader of its output.
fn caller() -> io::Result<Runtime> {
    runtime(2)
}

/// Builds a runtime. With one thread, everything runs on the calling thread.
fn runtime(threads: usize) -> io::Result<Runtime> {
    let mut builder = match threads {
        0 | 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(threads.max(1)).enable_all().build()
}

#[cfg(feature = "simulator")]
fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

#[cfg(test)]
mod tests {
    use clap::{Arg, CommandFactory};

    use super::*;

    fn flags(command: &clap::Command) -> impl Iterator<Item = &Arg> {
        command.get_arguments().filter(|argument| {
            argument.get_long().is_some()
                && !["help", "version"].contains(&argument.get_id().as_str())
        })
    }

    #[test]
    fn the_definitions_hold_together() {
        Program::command().debug_assert();
    }

    #[test]
    fn every_argument_is_documented() {
        for command in Program::command().get_subcommands() {
            for argument in command.get_arguments() {
                let name = argument.get_id();
                assert!(argument.get_help().is_some(), "{} {name}", command.get_name());
            }
        }
    }

    #[test]
    fn every_flag_is_also_an_environment_variable() {
        for command in Program::command().get_subcommands() {
            for flag in flags(command) {
                let variable = flag.get_env().unwrap_or_default().to_string_lossy();
                let name = flag.get_id();
                assert!(variable.starts_with("SPARKLER_"), "{} {name}", command.get_name());
            }
        }
    }

    #[test]
    fn every_duration_refuses_nothing_or_says_what_it_means() {
        let program = Program::command();
        let serve = program.find_subcommand("serve").expect("a worker");
        let durations = serve.get_arguments().filter(|argument| {
            argument.get_value_names().is_some_and(|names| names[0] == "DURATION")
        });
        for flag in durations {
            let name = flag.get_long().expect("a flag");
            let argv = ["sparkler", "serve", &format!("--{name}=0s")].map(OsString::from);
            let (_, typed) = typed::parse(argv.into()).expect("it parses");
            let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
            match typed.problems.as_slice() {
                [] => assert!(help.contains("0s"), "--{name} does not say what 0s means"),
                [problem] => assert!(problem.contains("more than 0s"), "{problem}"),
                more => panic!("{more:?}"),
            }
        }
    }

    #[test]
    fn no_flag_takes_a_key_itself() {
        for command in Program::command().get_subcommands() {
            for flag in flags(command) {
                let name = flag.get_long().unwrap_or_default();
                assert!(
                    !(name.ends_with("api-key")
                        || name.ends_with("token") && name != "first-token"),
                    "{} --{name}",
                    command.get_name()
                );
            }
        }
    }

    #[test]
    fn every_command_ends_its_help_with_examples() {
        for command in Program::command().get_subcommands() {
            let examples = command.get_after_help().map(ToString::to_string);
            assert!(
                examples.is_some_and(|text| text.starts_with("Examples:")),
                "{}",
                command.get_name()
            );
        }
    }
}

//! `--help` is the reference, and so held as a snapshot: a flag that changes its
//! name or its meaning shows up in a review.

use crate::cli::program::Program;

macro_rules! help_is {
    ($name:ident, $($argument:expr),*) => {
        #[tokio::test]
        async fn $name() {
            let run = Program::new(&[$($argument),*]).run().await;
            assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
            insta::assert_snapshot!(run.stdout);
        }
    };
}

help_is!(the_help_of_the_program, "--help");
help_is!(the_help_of_execute, "execute", "--help");
help_is!(the_help_of_check, "check", "--help");
help_is!(the_help_of_bench, "bench", "--help");
help_is!(the_help_of_nodes, "nodes", "--help");
help_is!(the_help_of_models, "models", "--help");
help_is!(the_help_of_prices, "prices", "--help");
help_is!(the_help_of_simulate, "simulate", "--help");
help_is!(the_help_of_demo, "demo", "--help");

#[tokio::test]
async fn the_version_is_printed() {
    let run = Program::new(&["--version"]).run().await;
    assert_eq!(run.stdout, format!("sparkler {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn bad_usage_is_exit_code_2_with_nothing_on_stdout() {
    let table: [(&[&str], &str); 8] = [
        (&[], "Usage: sparkler"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["execute", "--model", "m"], "required arguments were not provided"),
        (&["execute", "--model", "m", "--messages", "f", "prompt"], "cannot be used with"),
        (&["execute", "--cache=sometimes", "prompt"], "possible values: off, read-write"),
        (&["execute", "--total-timeout", "soon", "prompt"], "is not a duration such as 500ms"),
        (&["execute", "--api-key", "fw_key", "prompt"], "unexpected argument '--api-key'"),
        (&["execute", "--worker", "nowhere", "prompt"], "invalid value 'nowhere'"),
    ];
    for (arguments, reported) in table {
        let run = Program::new(arguments).run().await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(run.stderr.contains(reported), "{arguments:?}: {}", run.stderr);
    }
}

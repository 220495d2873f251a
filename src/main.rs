//! The `sparkler` program: parse, dispatch, exit code.

fn main() {}

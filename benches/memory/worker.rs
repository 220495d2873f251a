//! The worker that is measured: this program, under Valgrind.

use std::io::{Read, Write};

use anyhow::Context;
use sparkler::{
    config::Config,
    internals::{ClientConfig, Protocol},
    server::Server,
};
use tokio::runtime::Builder;

/// The argument with which this program runs the worker: the provider's URL follows.
pub(crate) const FLAG: &str = "--worker";

/// Serves until its input ends, and then exits with its streams open: what is allocated
/// at that moment is what is measured. Prints its address first.
pub(crate) fn run(base_url: &str) -> anyhow::Result<()> {
    let base_url = base_url.parse()?;
    let mut config = Config::local(base_url);
    let ClientConfig { base_url, .. } = config.fireworks;
    let protocol = Protocol::Http2;
    config.fireworks = ClientConfig { base_url, protocol, ..ClientConfig::default() };
    end_with_input();
    let runtime = Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let server = Server::bind(config).await?;
        println!("{}", server.local_addr());
        std::io::stdout().flush()?;
        server.run(std::future::pending()).await
    })
}

/// Exits once the input ends.
#[expect(clippy::disallowed_methods, reason = "the process is measured as it stands")]
fn end_with_input() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}

//! The memory that a request takes at its peak, by a counting allocator: of n
//! bytes at most 8 n and 1 MiB, for every RPC and whatever the request holds. The
//! worst found is printed.

#![expect(clippy::print_stdout, reason = "the figures are to be read")]

#[path = "it/abuse/grammar.rs"]
mod grammar;

use std::{alloc::System, net::SocketAddr, sync::Mutex};

use bytes::Bytes;
use peakmem_alloc::{INSTRUMENTED_SYSTEM, PeakMemAlloc, PeakMemAllocTrait};
use proptest::{prelude::*, test_runner::Config as Cases};
use reqwest::Client;
use sparkler::{config::Config, server::Server};
use tokio::runtime::{Builder, Runtime};

use self::grammar::{Frame, around, field, frame};

#[global_allocator]
static ALLOCATOR: &PeakMemAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One test measures at a time, also where all are one process.
static MEASURING: Mutex<()> = Mutex::new(());

const TIMES: usize = 8;
const BESIDES: usize = 1 << 20;

/// A worker whose provider does not answer, in this process and on this thread.
struct Measured {
    runtime: Runtime,
    worker: SocketAddr,
    client: Client,
}

impl Measured {
    fn start() -> Measured {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let config = Config::local("http://127.0.0.1:9/v1".parse().expect("a URL"));
        let server = runtime.block_on(Server::bind(config)).expect("a worker");
        let worker = server.local_addr();
        let entered = runtime.enter();
        let _running = runtime.spawn(server.run(std::future::pending()));
        drop(entered);
        let client = Client::builder().http2_prior_knowledge().no_proxy().build();
        let measured = Measured { runtime, worker, client: client.expect("a client") };
        // What is made once for all requests.
        let schema = field(8, &[vec![8, 2], field(2, b"{\"type\":\"object\"}")].concat());
        let first = [around("chatFireworks", 5), field(3, b"x"), schema].concat();
        for _ in 0..2 {
            let path = "sparkler.worker.v1.WorkerService/ExecuteNode";
            measured.peak(&Frame { path, message: first.clone() });
        }
        measured
    }

    /// How much memory is taken at the peak of a call, its message in the hands
    /// of its caller not counted.
    fn peak(&self, Frame { path, message }: &Frame) -> usize {
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        let body = Bytes::from([&[0][..], &length, message].concat());
        let request = self
            .client
            .post(format!("http://{}/{path}", self.worker))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body.clone());
        let is_endless = path.ends_with("Watch");
        ALLOCATOR.reset_peak_memory();
        self.runtime.block_on(async {
            let mut response = request.send().await.expect("a response");
            while let Ok(Some(_)) = response.chunk().await {
                if is_endless {
                    break;
                }
            }
        });
        ALLOCATOR.get_peak_memory()
    }
}

#[test]
fn any_request_takes_eight_times_its_bytes_at_most() {
    let _alone = MEASURING.lock();
    let worker = Measured::start();
    let worst = Mutex::new((0.0_f64, "", 0, 0));
    let cases = if std::env::var_os("SPARKLER_LONG").is_some() { 5000 } else { 250 };
    let config =
        Cases { cases, failure_persistence: None, max_shrink_iters: 200, ..Cases::default() };
    proptest!(config, |(frame in frame())| {
        let (bytes, peak) = (frame.message.len(), worker.peak(&frame));
        let share = peak as f64 / (TIMES * bytes + BESIDES) as f64;
        let mut worst = worst.lock().expect("not poisoned");
        if share > worst.0 {
            *worst = (share, frame.path, bytes, peak);
        }
        prop_assert!(share <= 1.0, "{}: {bytes} bytes took {peak}", frame.path);
    });
    let (share, path, bytes, peak) = *worst.lock().expect("not poisoned");
    println!(
        "{cases} requests; the worst: {bytes} bytes took {peak} ({share:.2} of the bound, {path})"
    );
}

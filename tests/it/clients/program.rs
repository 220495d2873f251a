//! The same clients against the program as it is shipped, in a process of its own.

use std::net::SocketAddr;

use fireworks_simulator::{Fault, Options, Rule, Simulator};

use crate::{
    clients::{client::Client, leaving::words},
    support::{PATIENCE, Program, spawn},
};

#[tokio::test]
async fn the_program_streams_hits_stops_and_refuses() {
    for client in Client::ALL {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::bind(loopback, Options::instant()).await.expect("a free port");
        let (base_url, provider) = (simulator.base_url(), simulator.handle());
        let simulating = spawn(simulator.run(std::future::pending()));
        let program = Program::serve(&base_url, &[]).await;
        let url = format!("http://{}", program.address);

        let run = client.run(&url, &["stream", "hit"]).await;
        run.output();
        run.says(&["DISABLED; calls of the provider: 1;", "MISS; calls of the provider: 1;"]);
        run.says(&["MISS", "$0.0000000 spent, ", "HIT; calls of the provider: 0;"]);
        assert_eq!(provider.report().calls, 2);

        provider.script(Rule::always(Fault::answer(words())).and(Fault::stall(3)));
        client.run(&url, &["cancel"]).await.output();
        let gone = provider.wait_until(|report| report.aborted == 1, PATIENCE).await;
        gone.expect("the provider is left");

        provider.clear_script();
        provider.script(Rule::always(Fault::stall(0)));
        let run = client.run(&url, &["failures"]).await;
        run.says(&["INVALID_ARGUMENT INVALID_NODE_CONFIG: ", "CREDENTIAL_REJECTED: "]);
        program.stop().await;
        simulating.abort();
    }
}

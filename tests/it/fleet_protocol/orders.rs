//! What holds in whatever order things happen: one leader at a time, no event
//! lost or repeated, a deposed leader changes nothing, and nobody hangs. Each
//! mistake that the steps could have is caught by at least one of these.

use std::time::Duration;

use fastrand::Rng;
use sparkler::internals::{
    FlightId, FlightKey,
    protocol::{Step, StepResult},
};

use super::{
    model::{Flaw, Shared},
    world::{Action, WORKERS, World},
};

const ORDERS: u64 = 8_000;
const LONGEST: usize = 90;

fn any_action(random: &mut Rng) -> Action {
    let at = random.usize(..WORKERS);
    match random.u8(..48) {
        0..14 => Action::Step(at),
        14..16 => Action::LoseAnswer(at),
        16..24 => Action::Run(at),
        24..31 => Action::Read(at),
        31..33 => Action::Wait,
        33 => Action::LoseNotification(at),
        34 => Action::Die(at),
        35 => Action::Return(at),
        36 if random.u8(..4) == 0 => Action::Empty,
        36 if random.u8(..3) == 0 => Action::Evict,
        45 if random.u8(..3) == 0 => Action::FailOver,
        45 if random.u8(..2) == 0 => Action::Replicate,
        37..45 => Action::Receive(at),
        _ => Action::Call(at),
    }
}

/// Runs the order of actions that the seed names.
fn live(seed: u64, flaw: Option<Flaw>) -> Result<(), String> {
    let mut random = Rng::with_seed(seed);
    let mut world = World::new(flaw);
    let mut actions = Vec::new();
    let mut lived = Ok(());
    for _ in 0..random.usize(10..LONGEST) {
        let action = any_action(&mut random);
        actions.push(action);
        lived = world.act(action);
        if lived.is_err() {
            break;
        }
    }
    let lived = lived.and_then(|()| world.settle());
    lived.map_err(|objection| format!("order {seed}: {objection}\n{actions:?}"))
}

#[test]
fn in_whatever_order_things_happen_every_promise_holds() {
    for seed in 0..ORDERS {
        if let Err(objection) = live(seed, None) {
            panic!("{objection}");
        }
    }
}

#[test]
fn every_mistake_that_the_steps_could_have_is_caught() {
    for flaw in [
        Flaw::AppendsUnfenced,
        Flaw::CompletesUnfenced,
        Flaw::KeepsTheEpoch,
        Flaw::TakesOverTheLiving,
        Flaw::TrimsTheStream,
        Flaw::OverlooksGaps,
        Flaw::MixesRuns,
        Flaw::BelievesTheEnd,
        Flaw::AppendsBehind,
        Flaw::NeverRestores,
    ] {
        let caught = (0..ORDERS).find_map(|seed| live(seed, Some(flaw)).err());
        assert!(caught.is_some(), "{flaw:?} is not caught");
    }
}

/// A follower that is cancelled leaves the key to the leader, whose retry elsewhere
/// then finds it.
#[test]
fn only_its_owner_settles_an_idempotency_key() {
    for flaw in [None, Some(Flaw::SettlesForOthers)] {
        let mut shared = Shared { flaw, ..Shared::default() };
        let owner = FlightId::random();
        let mut uses = |owner, takes_over| {
            let (request, flight_key) = ([1; 32], FlightKey([2; 32]));
            let keep = Duration::from_secs(1);
            shared.take(0, &Step::Claim { request, flight_key, owner, takes_over, keep });
            let other = Step::Settle { owner: FlightId::random(), retention: None };
            shared.take(0, &other);
            shared.claim.map(|(.., owner)| owner)
        };
        let is_kept = uses(owner, false) == Some(owner);
        assert_eq!(is_kept, flaw.is_none(), "{flaw:?}");
        let successor = FlightId::random();
        assert_eq!(uses(successor, true) == Some(successor), flaw.is_none(), "{flaw:?}");
        let settled = shared.take(0, &Step::Settle { owner: successor, retention: None });
        assert_eq!(settled == StepResult::Settled, flaw.is_none(), "{flaw:?}");
    }
}

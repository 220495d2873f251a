//! A fair queue for slots: the arithmetic of admission, without clock or lock. Generic
//! over the waiting call `W`, so that it can be tested alone.
//!
//! Each tenant has its own first-in, first-out line, and the lines take turns, so a
//! tenant waits for the first calls of the others and never for all of them. When the
//! lines are full together, the newest call of the longest one is displaced by a tenant
//! with a shorter one.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use super::AdmissionConfig;
use crate::error::Limit;

/// Slots and lines. While a line has a turn, no slot is free.
#[derive(Debug)]
pub(super) struct FairQueue<W> {
    config: AdmissionConfig,
    /// Tenants with a slot, a queued call, or charged memory.
    tenants: HashMap<Arc<str>, Tenant<W>>,
    /// Tenants whose first queued call may be admitted, in the order of their turns.
    turns: VecDeque<Arc<str>>,
    admitted: usize,
    queued: usize,
    bytes: u64,
    /// The part of `bytes` charged for arriving requests.
    request_body: u64,
    tickets: Ticket,
}

/// A position in line: smaller numbers came earlier.
pub(super) type Ticket = u64;

#[derive(Debug)]
struct Tenant<W> {
    admitted: usize,
    bytes: u64,
    line: BTreeMap<Ticket, W>,
    has_turn: bool,
}

/// The result of queueing a call.
#[derive(Debug)]
pub(super) struct Enqueued<W> {
    /// The tenant in whose line it waits.
    pub(super) tenant: Arc<str>,
    /// The call's position.
    pub(super) ticket: Ticket,
    /// The call that was displaced, if any.
    pub(super) pushed_out: Option<W>,
}

impl<W> FairQueue<W> {
    pub(super) fn new(config: AdmissionConfig) -> FairQueue<W> {
        FairQueue {
            config,
            tenants: HashMap::new(),
            turns: VecDeque::new(),
            admitted: 0,
            queued: 0,
            bytes: 0,
            request_body: 0,
            tickets: 0,
        }
    }

    pub(super) fn admitted(&self) -> usize {
        self.admitted
    }

    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Charges memory for an arriving request, whose tenant is not known yet. All of
    /// these together get half of the memory for calls, so that slow senders leave room
    /// for calls that have arrived.
    pub(super) fn take_in(&mut self, bytes: u64) -> Result<(), Limit> {
        let for_calls = self.for_calls();
        if self.bytes + bytes > for_calls || self.request_body + bytes > for_calls / 2 {
            return Err(Limit::Bytes);
        }
        self.bytes += bytes;
        self.request_body += bytes;
        Ok(())
    }

    /// Releases that memory when the request has arrived or was aborted.
    pub(super) fn taken_in(&mut self, bytes: u64) {
        self.bytes -= bytes;
        self.request_body -= bytes;
    }

    /// Charges memory for a new call. A named tenant gets at most half of the memory for
    /// calls, so that none can lock the others out.
    pub(super) fn charge(&mut self, tenant: &str, bytes: u64) -> Result<Arc<str>, Limit> {
        let for_calls = self.for_calls();
        let own = self.tenants.get(tenant).map_or(0, |known| known.bytes);
        let share = if tenant.is_empty() { for_calls } else { for_calls / 2 };
        if self.bytes + bytes > for_calls || own + bytes > share {
            return Err(Limit::Bytes);
        }
        let (name, known) = self.known(tenant);
        known.bytes += bytes;
        self.bytes += bytes;
        Ok(name)
    }

    /// Charges more memory for an admitted call, up to the worker's limit. Returns false
    /// if not enough is left.
    pub(super) fn grow(&mut self, tenant: &Arc<str>, bytes: u64) -> bool {
        let fits = self.bytes + bytes <= self.config.bytes;
        if fits && let Some(known) = self.tenants.get_mut(tenant) {
            known.bytes += bytes;
            self.bytes += bytes;
        }
        fits
    }

    /// Releases memory.
    pub(super) fn discharge(&mut self, tenant: &Arc<str>, bytes: u64) {
        self.bytes -= bytes;
        if let Some(known) = self.tenants.get_mut(tenant) {
            known.bytes -= bytes;
        }
        self.forget_if_gone(tenant);
    }

    /// Returns the memory for calls: all but a quarter, which is left for growing
    /// answers.
    fn for_calls(&self) -> u64 {
        self.config.bytes - self.config.bytes / 4
    }

    pub(super) fn is_empty(&self) -> bool {
        self.admitted == 0 && self.queued == 0
    }

    /// Takes a slot for a tenant, if one is free that it may hold.
    pub(super) fn try_acquire(&mut self, tenant: &str) -> Option<Arc<str>> {
        let own = self.tenants.get(tenant).map_or(0, |known| known.admitted);
        if self.admitted >= self.config.executions || own >= self.config.slots(tenant) {
            return None;
        }
        self.admitted += 1;
        let (name, known) = self.known(tenant);
        known.admitted += 1;
        Some(name)
    }

    /// Queues a call that found no slot; fails with the limit that prevents it.
    pub(super) fn enqueue(&mut self, tenant: &str, waiter: W) -> Result<Enqueued<W>, Limit> {
        let pushed_out = self.make_room(tenant)?;
        self.queued += 1;
        self.tickets += 1;
        let ticket = self.tickets;
        let (tenant, known) = self.known(tenant);
        known.line.insert(ticket, waiter);
        self.give_turn(&tenant);
        Ok(Enqueued { tenant, ticket, pushed_out })
    }

    /// Releases a slot. Returns the queued call that is admitted in its place.
    pub(super) fn release(&mut self, tenant: &Arc<str>) -> Option<(Arc<str>, W)> {
        self.admitted -= 1;
        if let Some(known) = self.tenants.get_mut(tenant) {
            known.admitted -= 1;
        }
        self.give_turn(tenant);
        self.forget_if_gone(tenant);
        self.call()
    }

    /// Removes a call from the queue; `None` if it has already been admitted or
    /// displaced.
    pub(super) fn leave(&mut self, tenant: &Arc<str>, ticket: Ticket) -> Option<W> {
        let known = self.tenants.get_mut(tenant)?;
        let waiter = known.line.remove(&ticket)?;
        if known.line.is_empty() && known.has_turn {
            known.has_turn = false;
            self.turns.retain(|waiting| waiting != tenant);
        }
        self.queued -= 1;
        self.forget_if_gone(tenant);
        Some(waiter)
    }

    /// Makes room for one more call: free room, or that of the newest call in the longest
    /// line, if that line stays at least as long as the tenant's own.
    fn make_room(&mut self, tenant: &str) -> Result<Option<W>, Limit> {
        if self.queued < self.config.queue_length {
            return Ok(None);
        }
        let own = self.tenants.get(tenant).map_or(0, |known| known.line.len());
        let longest = self.tenants.iter().max_by_key(|(_, known)| known.line.len());
        match longest {
            Some((name, known)) if known.line.len() > own + 1 => {
                let newest = known.line.last_key_value().map(|(ticket, _)| *ticket);
                let name = name.clone();
                Ok(newest.and_then(|ticket| self.leave(&name, ticket)))
            }
            _ => Err(self.limit(tenant)),
        }
    }

    /// Admits the next call in turn, if a slot is free.
    fn call(&mut self) -> Option<(Arc<str>, W)> {
        if self.admitted >= self.config.executions {
            return None;
        }
        let tenant = self.turns.pop_front()?;
        let known = self.tenants.get_mut(&tenant)?;
        known.has_turn = false;
        let (_, waiter) = known.line.pop_first()?;
        known.admitted += 1;
        self.admitted += 1;
        self.queued -= 1;
        self.give_turn(&tenant);
        Some((tenant, waiter))
    }

    /// Puts a tenant at the end of the turns, if it has a queued call and may hold
    /// another slot.
    fn give_turn(&mut self, tenant: &Arc<str>) {
        let Some(known) = self.tenants.get_mut(tenant) else {
            return;
        };
        let may = !known.line.is_empty() && known.admitted < self.config.slots(tenant);
        if may && !known.has_turn {
            known.has_turn = true;
            self.turns.push_back(tenant.clone());
        }
    }

    fn limit(&self, tenant: &str) -> Limit {
        let own = self.tenants.get(tenant).map_or(0, |known| known.admitted);
        let executions = self.config.slots(tenant);
        // Reports the tenant's own limit if it has one.
        if own < executions || executions >= self.config.executions {
            return Limit::Executions;
        }
        Limit::Tenant { tenant: tenant.to_owned(), executions }
    }

    fn known(&mut self, tenant: &str) -> (Arc<str>, &mut Tenant<W>) {
        let name = match self.tenants.get_key_value(tenant) {
            Some((name, _)) => name.clone(),
            None => Arc::from(tenant),
        };
        let known = self.tenants.entry(name.clone()).or_insert_with(|| Tenant {
            admitted: 0,
            bytes: 0,
            line: BTreeMap::new(),
            has_turn: false,
        });
        (name, known)
    }

    fn forget_if_gone(&mut self, tenant: &Arc<str>) {
        let known = self.tenants.get(tenant);
        if known.is_some_and(Tenant::has_gone) {
            self.tenants.remove(tenant);
        }
    }
}

impl<W> Tenant<W> {
    fn has_gone(&self) -> bool {
        self.admitted == 0 && self.bytes == 0 && self.line.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn queue(executions: usize, per_tenant: usize, queue_length: usize) -> FairQueue<u32> {
        FairQueue::new(AdmissionConfig {
            executions,
            executions_per_tenant: per_tenant,
            keeps_for_others: false,
            queue_length,
            queue_timeout: Duration::from_secs(1),
            bytes: 800,
        })
    }

    #[test]
    fn memory_is_shared_and_some_is_kept_for_growth() {
        let mut queue = queue(9, 9, 9);
        let greedy = queue.charge("greedy", 200).expect("it fits");
        assert_eq!(queue.charge("greedy", 101).expect_err("over half"), Limit::Bytes);
        queue.charge("greedy", 100).expect("half");
        let modest = queue.charge("modest", 300).expect("the other half");
        assert_eq!(queue.charge("", 1).expect_err("the rest is kept"), Limit::Bytes);
        assert!(queue.grow(&greedy, 200), "kept for this");
        assert!(!queue.grow(&modest, 1), "that is all");
        queue.discharge(&greedy, 500);
        queue.charge("", 300).expect("it fits again");
        queue.discharge(&modest, 300);
        queue.discharge(&Arc::from(""), 300);
        assert!(queue.bytes() == 0 && queue.tenants.is_empty());
    }

    #[test]
    fn arriving_requests_leave_room_for_arrived_calls() {
        let mut queue = queue(9, 9, 9);
        queue.take_in(300).expect("half of what calls have");
        assert_eq!(queue.take_in(1), Err(Limit::Bytes));
        let come = queue.charge("", 300).expect("the other half");
        assert_eq!(queue.charge("", 1), Err(Limit::Bytes));
        queue.taken_in(300);
        queue.charge("", 200).expect("room again");
        assert_eq!(queue.take_in(101), Err(Limit::Bytes), "no more than calls have in all");
        queue.discharge(&come, 500);
        assert_eq!(queue.bytes(), 0);
    }

    fn admitted(queue: &mut FairQueue<u32>, tenant: &str) -> Arc<str> {
        queue.try_acquire(tenant).expect("a place")
    }

    /// Returns the displaced call, if any.
    fn queued(queue: &mut FairQueue<u32>, tenant: &str, waiter: u32) -> Result<Option<u32>, Limit> {
        assert!(queue.try_acquire(tenant).is_none(), "there is a place");
        queue.enqueue(tenant, waiter).map(|enqueued| enqueued.pushed_out)
    }

    #[test]
    fn lines_take_turns_and_each_is_first_come_first_served() {
        let mut queue = queue(1, 10, 10);
        let mut holder = admitted(&mut queue, "greedy");
        for (tenant, waiter) in [("greedy", 1), ("greedy", 2), ("a", 3), ("greedy", 4), ("b", 5)] {
            assert_eq!(queued(&mut queue, tenant, waiter), Ok(None));
        }
        let mut called = Vec::new();
        while let Some((tenant, waiter)) = queue.release(&holder) {
            holder = tenant;
            called.push(waiter);
        }
        assert_eq!(called, [1, 3, 5, 2, 4]);
        assert!(queue.is_empty() && queue.tenants.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn a_tenant_at_its_limit_leaves_the_other_slots_to_others() {
        let mut queue = queue(3, 1, 10);
        let first = admitted(&mut queue, "a");
        assert_eq!(queued(&mut queue, "a", 1), Ok(None));
        admitted(&mut queue, "b");
        let (tenant, waiter) = queue.release(&first).expect("its own next");
        assert_eq!((&*tenant, waiter), ("a", 1));
    }

    #[test]
    fn a_refusal_names_the_tenants_own_limit() {
        let mut queue = queue(2, 1, 0);
        admitted(&mut queue, "a");
        let limit = Limit::Tenant { tenant: "a".to_owned(), executions: 1 };
        assert_eq!(queued(&mut queue, "a", 1), Err(limit));
        admitted(&mut queue, "b");
        assert_eq!(queued(&mut queue, "c", 2), Err(Limit::Executions));
    }

    #[test]
    fn no_named_tenant_gets_the_last_slots() {
        let keeping = || {
            let FairQueue { config, .. } = queue(10, 10, 9);
            FairQueue::<u32>::new(AdmissionConfig { keeps_for_others: true, ..config })
        };
        let mut shared = keeping();
        let greedy: Vec<_> = (0..9).map(|_| admitted(&mut shared, "greedy")).collect();
        let limit = Limit::Tenant { tenant: "greedy".to_owned(), executions: 9 };
        assert_eq!(shared.limit("greedy"), limit);
        assert_eq!(queued(&mut shared, "greedy", 1), Ok(None));
        let modest = admitted(&mut shared, "modest");
        assert!(shared.release(&modest).is_none(), "it is kept");
        assert_eq!(shared.release(&greedy[0]).map(|(_, waiter)| waiter), Some(1));
        let mut alone = keeping();
        for _ in 0..10 {
            admitted(&mut alone, "");
        }
    }

    #[test]
    fn a_full_queue_is_shared_fairly() {
        let mut queue = queue(1, 1, 4);
        admitted(&mut queue, "greedy");
        for waiter in 1..=4 {
            assert_eq!(queued(&mut queue, "greedy", waiter), Ok(None));
        }
        assert_eq!(queued(&mut queue, "greedy", 5), Err(Limit::Executions));
        assert_eq!(queued(&mut queue, "modest", 6), Ok(Some(4)), "the newest gives way");
        assert_eq!(queued(&mut queue, "modest", 7), Ok(Some(3)));
        assert_eq!(queued(&mut queue, "modest", 8), Err(Limit::Executions));
        assert_eq!(queue.queued(), 4);
    }

    #[test]
    fn without_a_queue_a_call_without_a_slot_is_refused() {
        let mut queue = queue(1, 1, 0);
        let holder = admitted(&mut queue, "a");
        assert_eq!(queued(&mut queue, "b", 1), Err(Limit::Executions));
        assert!(queue.release(&holder).is_none());
        admitted(&mut queue, "b");
    }

    /// An operation on the queue.
    #[derive(Debug, Clone)]
    enum QueueStep {
        Enter(u8),
        ReleaseSlot(usize),
        Leave(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<QueueStep>> {
        let step = prop_oneof![
            3 => (0..4u8).prop_map(QueueStep::Enter),
            2 => (0..8usize).prop_map(QueueStep::ReleaseSlot),
            1 => (0..8usize).prop_map(QueueStep::Leave),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// In any order of operations the limits hold, no call waits beside a free slot,
        /// and nothing is left at the end.
        #[test]
        fn no_slot_is_lost_and_none_is_granted_twice(steps in steps()) {
            let (executions, per_tenant, queue_length) = (4, 2, 5);
            let mut queue = queue(executions, per_tenant, queue_length);
            let mut slots: Vec<Arc<str>> = Vec::new();
            let mut lines: Vec<(Arc<str>, Ticket, u32)> = Vec::new();
            let mut next = 0;
            for step in steps {
                match step {
                    QueueStep::Enter(tenant) => {
                        let tenant = tenant.to_string();
                        next += 1;
                        if let Some(tenant) = queue.try_acquire(&tenant) {
                            slots.push(tenant);
                        } else if let Ok(enqueued) = queue.enqueue(&tenant, next) {
                            lines.retain(|(.., waiter)| Some(*waiter) != enqueued.pushed_out);
                            lines.push((enqueued.tenant, enqueued.ticket, next));
                        } else {
                            prop_assert_eq!(queue.queued(), queue_length);
                        }
                    }
                    QueueStep::ReleaseSlot(index) if !slots.is_empty() => {
                        let left = slots.swap_remove(index % slots.len());
                        if let Some((tenant, waiter)) = queue.release(&left) {
                            let own = lines.iter().position(|(.., known)| *known == waiter);
                            lines.remove(own.expect("it was in line"));
                            slots.push(tenant);
                        }
                    }
                    QueueStep::Leave(index) if !lines.is_empty() => {
                        let (tenant, ticket, waiter) = lines.swap_remove(index % lines.len());
                        prop_assert_eq!(queue.leave(&tenant, ticket), Some(waiter));
                    }
                    QueueStep::ReleaseSlot(_) | QueueStep::Leave(_) => {}
                }
                prop_assert_eq!(queue.admitted(), slots.len());
                prop_assert_eq!(queue.queued(), lines.len());
                prop_assert!(slots.len() <= executions && lines.len() <= queue_length);
                for (name, tenant) in &queue.tenants {
                    prop_assert!(tenant.admitted <= per_tenant);
                    let waits_for_others = queue.admitted == executions;
                    let waits_for_itself = tenant.admitted == per_tenant;
                    let waits = !tenant.line.is_empty();
                    prop_assert!(!waits || waits_for_others || waits_for_itself, "{}", name);
                    prop_assert_eq!(tenant.has_turn, waits && !waits_for_itself);
                }
            }
            while let Some(left) = slots.pop() {
                slots.extend(queue.release(&left).map(|(tenant, _)| tenant));
            }
            prop_assert!(queue.is_empty() && queue.tenants.is_empty() && queue.turns.is_empty());
        }
    }
}

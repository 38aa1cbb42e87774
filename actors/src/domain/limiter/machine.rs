//! The limiter machine.

use super::{
    Admitted, Cost, History, LimitCommand, LimitName, LimitOutcome, LimitRecord, Policy,
    Reservation, RetryAfter,
    limiter::{Limiter, Next, Unsure, Windows},
};
use crate::{
    domain::{
        Effects, Machine, Moment, Room, Table, Ticket, Unsettled,
        page::Selection,
        values::{AccountId, Quota},
    },
    progress::Seq,
    time::Instant,
    watch::Census,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many idle limiters go in one call of [`Machine::on_deadline`].
const REMOVALS_AT_ONCE: usize = 512;

/// The limiter domain.
#[derive(Debug, Default)]
pub struct LimitMachine {
    limiters: Table<AccountId, BTreeMap<LimitName, Limiter>>,
    /// When to look whether a limiter is idle.
    deadlines: BTreeSet<(Instant, AccountId, LimitName)>,
    /// The rows on their way to the disk, oldest first.
    pending: VecDeque<(Seq, AccountId, LimitName)>,
    /// What is gone, deleted or idle.
    unsettled: Unsettled<(AccountId, LimitName), Limiter>,
}

impl LimitMachine {
    /// The machine as it was when `rows`, each [recovered](Reservation::recovered), were on disk.
    pub fn new(rows: impl IntoIterator<Item = Reservation>, now: Instant) -> Self {
        let mut machine = Self::default();
        for row in rows {
            let mut limiter = Limiter::new(row.policy, now);
            limiter.windows = Windows::new(row.horizon, now);
            limiter.horizon_written = Some(row.horizon);
            let horizon = limiter.horizon();
            let counts = |admitted: &Admitted| admitted.at + horizon > now;
            limiter.history = History::of(row.admitted.into_iter().filter(counts));
            machine.put(row.account, row.name, limiter);
        }
        machine
    }

    fn check(
        &mut self,
        moment: Moment,
        (account, name): (AccountId, LimitName),
        (policy, cost): (Policy, Cost),
        quota: Quota,
        effects: &mut Effects<LimitOutcome>,
    ) -> (LimitOutcome, Seq) {
        let now = moment.now;
        let known = self.find(account, &name).is_some();
        let having = self.limiters.get(&account).map_or(0, BTreeMap::len);
        if !known && having >= quota.get() as usize {
            return (LimitOutcome::OverQuota(quota), effects.last());
        }
        if !known {
            if moment.room == Room::Exhausted {
                return (LimitOutcome::NoRoom, Seq::NONE);
            }
            self.put(account, name.clone(), Limiter::new(policy, now));
        }
        let Some(limiter) = find(&mut self.limiters, account, &name) else {
            unreachable!("the limiter was put there if it was not")
        };
        limiter.follow(policy, now);
        let wanted = limiter.count(now) + u64::from(cost.get());
        let is_admitted = wanted <= u64::from(policy.max_requests.get());
        let needs_row = if is_admitted {
            !limiter.covers(cost.get())
        } else {
            limiter.is_to_be_remembered_longer()
        };
        if needs_row && moment.room == Room::Exhausted {
            return (LimitOutcome::NoRoom, Seq::NONE);
        }
        if !is_admitted {
            if needs_row {
                let seq = reserve(limiter, account, &name, effects, &mut self.pending);
                limiter.awaited = limiter.awaited.max(seq);
            }
            let retry_after = RetryAfter::from(now, limiter.admits_at(cost.get(), now));
            let standing = limiter.standing(&name, now);
            return (LimitOutcome::Refused(standing, retry_after), limiter.awaited);
        }
        limiter.history.admit(now, cost.get(), limiter.windows.shortest());
        let depends_on = if needs_row {
            let seq = reserve(limiter, account, &name, effects, &mut self.pending);
            if !known {
                // If this row is refused, the limiter was never there. It may have taken the place of one
                // whose removal is not on disk yet: then that comes back.
                self.unsettled.changed(seq, (account, name.clone()), None);
            }
            seq
        } else {
            let depends_on = limiter.spend(cost.get());
            let low = limiter.next.is_none() && limiter.credit < policy.ahead() / 2;
            if low && moment.room == Room::Available {
                reserve(limiter, account, &name, effects, &mut self.pending);
            }
            depends_on
        };
        limiter.awaited = limiter.awaited.max(depends_on);
        if depends_on > Seq::NONE {
            limiter.unsure.push(Unsure { seq: depends_on, at: now, cost: cost.get() });
        }
        (LimitOutcome::Admitted(limiter.standing(&name, now)), depends_on)
    }

    fn get(&self, now: Instant, account: AccountId, name: LimitName) -> (LimitOutcome, Seq) {
        match self.find(account, &name) {
            Some(limiter) => (LimitOutcome::Status(limiter.standing(&name, now)), limiter.awaited),
            None => (LimitOutcome::NotFound, self.unsettled.depends_on(&(account, name))),
        }
    }

    fn delete(
        &mut self,
        account: AccountId,
        name: LimitName,
        effects: &mut Effects<LimitOutcome>,
    ) -> (LimitOutcome, Seq) {
        let Some(before) = self.take(account, &name) else {
            return (LimitOutcome::NotFound, self.unsettled.depends_on(&(account, name)));
        };
        let seq = effects.record(LimitRecord::Gone(account, name.clone()));
        self.unsettled.changed(seq, (account, name), Some(before));
        (LimitOutcome::Deleted, seq)
    }

    fn list(
        &self,
        now: Instant,
        account: AccountId,
        selection: &Selection,
        effects: &Effects<LimitOutcome>,
    ) -> (LimitOutcome, Seq) {
        let limiters = self.limiters.get(&account);
        let page = selection.of(limiters).map(|(name, limiter)| limiter.standing(name, now));
        (LimitOutcome::Limits(page), effects.last())
    }

    fn used(&self, accounts: &[AccountId], effects: &Effects<LimitOutcome>) -> (LimitOutcome, Seq) {
        let having = |account| self.limiters.get(account).map_or(0, BTreeMap::len);
        (LimitOutcome::Use(accounts.iter().map(having).collect()), effects.last())
    }

    fn find(&self, account: AccountId, name: &LimitName) -> Option<&Limiter> {
        self.limiters.get(&account)?.get(name)
    }

    fn put(&mut self, account: AccountId, name: LimitName, mut limiter: Limiter) {
        limiter.deadline = limiter.idle_at().unwrap_or(limiter.deadline + limiter.horizon());
        self.deadlines.insert((limiter.deadline, account, name.clone()));
        self.limiters.entry(account).or_default().insert(name, limiter);
    }

    fn take(&mut self, account: AccountId, name: &LimitName) -> Option<Limiter> {
        let limiters = self.limiters.get_mut(&account)?;
        let limiter = limiters.remove(name)?;
        if limiters.is_empty() {
            self.limiters.remove(&account);
        }
        self.deadlines.remove(&(limiter.deadline, account, name.clone()));
        Some(limiter)
    }
}

fn find<'a>(
    limiters: &'a mut Table<AccountId, BTreeMap<LimitName, Limiter>>,
    account: AccountId,
    name: &LimitName,
) -> Option<&'a mut Limiter> {
    limiters.get_mut(&account)?.get_mut(name)
}

/// Wants a new row on disk, with everything admitted so far and fresh credit.
fn reserve(
    limiter: &mut Limiter,
    account: AccountId,
    name: &LimitName,
    effects: &mut Effects<LimitOutcome>,
    pending: &mut VecDeque<(Seq, AccountId, LimitName)>,
) -> Seq {
    let credit = limiter.policy.ahead();
    let seq = effects.record(LimitRecord::Reserved(row(limiter, account, name, credit)));
    if limiter.next.is_some() || limiter.is_to_be_remembered_longer() {
        // Which row is on disk when an answer goes is no longer known, or that one forgets too soon: all
        // wait for the new one.
        limiter.credit = 0;
    }
    limiter.next = Some(Next { seq, credit });
    limiter.horizon_written = Some(limiter.windows.longest());
    pending.push_back((seq, account, name.clone()));
    seq
}

fn row(limiter: &Limiter, account: AccountId, name: &LimitName, credit: u32) -> Reservation {
    Reservation {
        account,
        name: name.clone(),
        policy: limiter.policy,
        horizon: limiter.windows.longest(),
        admitted: limiter.history.iter().collect(),
        credit,
    }
}

impl Machine for LimitMachine {
    type Command = LimitCommand;
    type Outcome = LimitOutcome;

    fn apply(
        &mut self,
        moment: Moment,
        ticket: Ticket,
        command: LimitCommand,
        effects: &mut Effects<LimitOutcome>,
    ) {
        let (outcome, depends_on) = match command {
            LimitCommand::Check { account, name, policy, cost, quota } => {
                self.check(moment, (account, name), (policy, cost), quota, effects)
            }
            LimitCommand::Get { account, name } => self.get(moment.now, account, name),
            LimitCommand::Delete { account, name } => self.delete(account, name, effects),
            LimitCommand::List { account, selection } => {
                self.list(moment.now, account, &selection, effects)
            }
            LimitCommand::Use { accounts } => self.used(&accounts, effects),
        };
        effects.answer(ticket, outcome, depends_on);
    }

    /// What was admitted is spent, whether the caller heard of it or not.
    fn undelivered(&mut self, _: LimitOutcome, _: &mut Effects<LimitOutcome>) {}

    fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _, _)| deadline)
    }

    /// Removes limiters whose window has passed since their last request.
    fn on_deadline(&mut self, now: Instant, effects: &mut Effects<LimitOutcome>) {
        for _ in 0..REMOVALS_AT_ONCE {
            if self.deadlines.first().is_none_or(|&(deadline, _, _)| deadline > now) {
                return;
            }
            let Some((_, account, name)) = self.deadlines.pop_first() else { return };
            let Some(limiter) = find(&mut self.limiters, account, &name) else { continue };
            match limiter.idle_at().filter(|&idle_at| idle_at > now) {
                Some(idle_at) => {
                    limiter.deadline = idle_at;
                    self.deadlines.insert((idle_at, account, name));
                }
                None => {
                    let before = self.take(account, &name);
                    let seq = effects.record(LimitRecord::Gone(account, name.clone()));
                    self.unsettled.changed(seq, (account, name), before);
                }
            }
        }
    }

    fn settle(&mut self, durable: Seq) {
        self.unsettled.settle(durable);
        while let Some((seq, account, name)) =
            self.pending.pop_front_if(|&mut (seq, _, _)| seq <= durable)
        {
            let Some(limiter) = find(&mut self.limiters, account, &name) else { continue };
            if let Some(next) = limiter.next.take_if(|next| next.seq == seq) {
                limiter.credit = next.credit;
            }
            limiter.awaited =
                Some(limiter.awaited).filter(|&seq| seq > durable).unwrap_or_default();
            limiter.unsure.retain(|unsure| unsure.seq > durable);
        }
    }

    /// What was admitted on a row that the store refused was not: nobody is told that it was. (Somebody may be
    /// told so whose own row is on disk, but was sent on together with one that was refused: that stays counted.)
    fn rewind(&mut self, durable: Seq) {
        while let Some((_, account, name)) =
            self.pending.pop_back_if(|&mut (seq, _, _)| seq > durable)
        {
            if let Some(limiter) = find(&mut self.limiters, account, &name) {
                // What is on its way for a limiter is its latest row: this one, or one undone before.
                limiter.awaited = Seq::NONE;
                limiter.next = None;
                limiter.horizon_written = None;
                limiter.withdraw_after(durable);
            }
        }
        while let Some(((account, name), before)) = self.unsettled.pop_after(durable) {
            self.take(account, &name);
            if let Some(mut limiter) = before {
                if limiter.next.take_if(|next| next.seq > durable).is_some() {
                    limiter.horizon_written = None;
                }
                limiter.withdraw_after(durable);
                self.put(account, name, limiter);
            }
        }
    }

    /// Gives back what was reserved and not spent.
    fn close(&mut self, effects: &mut Effects<LimitOutcome>) {
        for (&account, limiters) in &self.limiters {
            for (name, limiter) in limiters {
                effects.record(LimitRecord::Reserved(row(limiter, account, name, 0)));
            }
        }
    }

    fn census(&self) -> Census {
        // Each has one deadline.
        Census { entries: self.deadlines.len() as u64, expired: 0 }
    }
}

//! What is left when the power goes, or a sync fails.

use super::{Change, Disk, File, put};
use crate::dice::Dice;

/// What a disk writes at once.
const SECTOR: usize = 512;

/// What becomes of the changes that are on their way.
#[derive(Clone, Copy)]
enum Fate {
    /// All make it.
    All,
    /// None does.
    None,
    /// So many do, and the next one is torn.
    First(usize),
    /// Any of them, whole, in any order.
    Any,
    /// Any sectors of any of them, in any order; some hold garbage.
    Torn,
}

impl Disk {
    /// The power goes. What the disk holds afterwards is what every process sees from then on.
    pub fn cut_power(&mut self) {
        // A file that was removed may be there again, unless another has taken its name for good.
        for (name, file) in std::mem::take(&mut self.removed) {
            let taken = self.files.get(&name).is_some_and(|other| other.linked);
            if file.linked && !taken && self.dice.one_in(2) {
                self.files.insert(name, file);
            }
        }
        let dice = &mut self.dice;
        self.files.retain(|_, file| file.linked || dice.one_in(2));
        for file in self.files.values_mut() {
            let fate = Fate::roll(dice, file.pending.len());
            let _never_cut = file.settle(fate, dice);
            file.seen.clone_from(&file.durable);
            file.linked = true;
        }
    }

    /// The system goes down in good order: it writes what it has, and forgets what it only
    /// believed to have written.
    pub fn shut_down(&mut self) {
        self.removed.clear();
        for file in self.files.values_mut() {
            file.sync();
            file.seen.clone_from(&file.durable);
        }
    }
}

impl File {
    /// A sync that fails: some of what was on its way is durable, and the rest never will be,
    /// because the system takes it for written. Processes see it all the same. How long a file is the
    /// system does not forget: it tries that again.
    pub(super) fn sync_badly(&mut self, dice: &mut Dice) {
        let fate = Fate::roll(dice, self.pending.len());
        self.pending = self.settle(fate, dice);
    }

    /// Returns where the file was cut short and is not.
    fn settle(&mut self, fate: Fate, dice: &mut Dice) -> Vec<Change> {
        let mut pending = std::mem::take(&mut self.pending);
        let done = self.settle_changes(&pending, fate, dice);
        pending.drain(..done);
        pending.retain(|change| matches!(change, Change::Cut(_)));
        pending
    }

    /// Returns how many of the changes are over and done with.
    fn settle_changes(&mut self, pending: &[Change], fate: Fate, dice: &mut Dice) -> usize {
        match fate {
            Fate::All => pending.iter().for_each(|change| change.apply(&mut self.durable)),
            Fate::None => return 0,
            Fate::First(count) => {
                for change in &pending[..count] {
                    change.apply(&mut self.durable);
                }
                if let Some(Change::Write { at, bytes }) = pending.get(count) {
                    let made_before = self.durable.len();
                    self.tear((*at, bytes), made_before, dice);
                }
                return count;
            }
            Fate::Any | Fate::Torn => {
                let torn = matches!(fate, Fate::Torn);
                let mut done = 0;
                for part in pending.split_inclusive(|change| matches!(change, Change::Cut(_))) {
                    let (cut, writes) = match part {
                        [writes @ .., Change::Cut(length)] => (Some(*length), writes),
                        writes => (None, writes),
                    };
                    self.settle_some(writes, torn, dice);
                    match cut {
                        Some(length) if dice.one_in(2) => self.durable.resize(length, 0),
                        // What comes after it is not there without it.
                        Some(_) => return done,
                        None => {}
                    }
                    done += part.len();
                }
            }
        }
        pending.len()
    }

    fn settle_some(&mut self, writes: &[Change], torn: bool, dice: &mut Dice) {
        let made_before = self.durable.len();
        let mut order: Vec<usize> = (0..writes.len()).collect();
        dice.shuffle(&mut order);
        for index in order {
            let Change::Write { at, bytes } = &writes[index] else { continue };
            if dice.one_in(2) {
                put(&mut self.durable, *at, bytes);
            } else if torn {
                self.tear((*at, bytes), made_before, dice);
            } else if dice.one_in(8) {
                // The file grew, and what should be in it did not come.
                let length = self.durable.len().max(at + bytes.len());
                self.durable.resize(length, 0);
            }
        }
    }

    /// Writes some sectors of `bytes`. There may be garbage where the file was `made_before`.
    fn tear(&mut self, (at, bytes): (usize, &[u8]), made_before: usize, dice: &mut Dice) {
        let end = at + bytes.len();
        let one_sector = at / SECTOR == (end - 1) / SECTOR;
        if one_sector {
            if dice.one_in(2) {
                put(&mut self.durable, at, bytes);
            }
            return;
        }
        let garbage = dice.one_in(3);
        let mut from = at;
        while from < end {
            let to = end.min((from / SECTOR + 1) * SECTOR);
            // What a file is known by is whole.
            let garbage = garbage && from > 0;
            match dice.below(8) {
                0 if garbage && dice.one_in(2) => put(&mut self.durable, from, &vec![0; to - from]),
                0 if garbage && to <= made_before => {
                    let noise: Vec<u8> = (from..to).map(|_| dice.any().to_le_bytes()[0]).collect();
                    put(&mut self.durable, from, &noise);
                }
                0..4 => put(&mut self.durable, from, &bytes[from - at..to - at]),
                _ => {}
            }
            from = to;
        }
    }
}

impl Fate {
    fn roll(dice: &mut Dice, pending: usize) -> Self {
        match dice.below(6) {
            0 => Self::All,
            1 => Self::None,
            2 => Self::First(dice.below(pending + 1)),
            3 => Self::Any,
            _ => Self::Torn,
        }
    }
}

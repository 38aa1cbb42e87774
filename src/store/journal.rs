//! Whether the journal still has every commit that it had.
//!
//! SQLite takes the first frame that does not check for the end of the journal, and drops what
//! comes after it without a word. That is right for a transaction that was being written when the
//! power went: nobody was told of it. It is wrong for damage further up. The two are told apart
//! before SQLite opens the file: with `synchronous=FULL` a transaction is on disk before the next
//! one begins, so what is followed by another one was acknowledged.
//!
//! One wrong bit is put right where the checksums say which it is. In a transaction that was
//! interrupted that makes it whole, which is as good as not having begun it. The checksums tell the
//! high bits of a word apart from those of some words only: then nothing is put right.
//!
//! The format: "WAL File Format" in SQLite's documentation of its database file format, section 4.

mod leftover;
mod open;

pub use leftover::NotRefused;
pub use open::OpenJournal;

use leftover::Leftover;

use super::files::unless_it_ends;
use std::io::{self, Read};

/// A journal that has lost commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalDamage {
    /// Its header does not check, and was never half written: it fits into one sector.
    #[error("its header does not check")]
    Header,
    /// A frame does not check, and a transaction that came later is there.
    #[error("frame {0} does not check, and later commits depend on it")]
    Frame(u64),
}

/// A bit of a journal that must be another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongBit {
    /// The place of its byte in the file.
    pub at: u64,
    /// The bit within the byte.
    pub mask: u8,
}

/// How a journal stands that SQLite may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has all its commits.
    Whole,
    /// It has all its commits once this is put right.
    OneBit(WrongBit),
    /// Its last transaction is incomplete: either it was being written when the power went, or this
    /// frame of it has one wrong bit, nobody can say which.
    Unclear(u64),
}

/// What came of reading a journal.
pub type Inspected = Result<Standing, JournalDamage>;

/// Whether one other bit would make something check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repair {
    /// No single one would.
    None,
    /// This one: its byte, and the bit within it.
    Bit(usize, u8),
    /// Several would, each for itself.
    Several,
}

impl Repair {
    fn or(self, byte: usize, mask: u8) -> Self {
        match self {
            Self::None => Self::Bit(byte, mask),
            Self::Bit(..) | Self::Several => Self::Several,
        }
    }
}

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// Reads a journal from its beginning.
///
/// # Errors
/// It cannot be read.
pub fn inspect(mut journal: impl Read) -> io::Result<Inspected> {
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut journal, &mut header)? {
        return Ok(Ok(Standing::Whole));
    }
    if header == [0; HEADER_BYTES] {
        // The header is on disk before anything that follows it.
        let zeros = is_zero(journal)?;
        return Ok(if zeros { Ok(Standing::Whole) } else { Err(JournalDamage::Header) });
    }
    let Some((format, mut standing)) = Format::of(header) else {
        return Ok(Err(JournalDamage::Header));
    };
    let mut frame = vec![0; FRAME_HEADER_BYTES + format.page_bytes];
    let (mut sums, mut number) = (format.sums, 0_u64);
    // The whole transactions, and the beginning of the last.
    loop {
        let begin = HEADER_BYTES as u64 + number * frame.len() as u64;
        number += 1;
        if !fill(&mut journal, &mut frame)? {
            return Ok(Ok(standing));
        }
        if !format.follows(sums, &frame) {
            match (format.repair(sums, &frame), standing) {
                (Repair::Bit(at, mask), Standing::Whole) => {
                    frame[at] ^= mask;
                    standing = Standing::OneBit(WrongBit { at: begin + at as u64, mask });
                }
                (Repair::Several, Standing::Whole) => {
                    standing = Standing::Unclear(number);
                    break;
                }
                (Repair::None, _) | (_, Standing::OneBit(_) | Standing::Unclear(_)) => break,
            }
        }
        sums = format.sums_after(sums, &frame);
    }
    // What lies behind it: of the same transaction, of ones that were interrupted before it, or of a
    // later one, which was built upon the end of another. Of the frame that does not check it may be
    // the sums that are wrong.
    let mut ends = format.ends_of(&frame, Some(format.sums_after(sums, &frame)));
    while fill(&mut journal, &mut frame)? {
        if ends.into_iter().flatten().any(|sums| format.follows(sums, &frame)) {
            return Ok(Err(JournalDamage::Frame(number)));
        }
        ends = format.ends_of(&frame, None);
    }
    Ok(Ok(standing))
}

/// What the header says of the frames.
struct Format {
    page_bytes: usize,
    salts: [u8; 8],
    /// The checksum so far.
    sums: [u32; 2],
    big_endian: bool,
}

impl Format {
    /// What a header says, and which bit of it is wrong, if it is clear that one is.
    fn of(header: [u8; HEADER_BYTES]) -> Option<(Self, Standing)> {
        if let Some(format) = Self::read(&header) {
            return Some((format, Standing::Whole));
        }
        let with = |at: usize, mask: u8| {
            let mut other = header;
            other[at] ^= mask;
            Some((Self::read(&other)?, WrongBit { at: at as u64, mask }))
        };
        let one_bit = (0..HEADER_BYTES).flat_map(|at| (0..8).map(move |bit| (at, 1 << bit)));
        let mut explained = one_bit.filter_map(|(at, mask)| with(at, mask));
        match (explained.next(), explained.next()) {
            (Some((format, wrong)), None) => Some((format, Standing::OneBit(wrong))),
            (Some(_), Some(_)) | (None, _) => None,
        }
    }

    fn read(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let big_endian = match word(header, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let page_bytes = word(header, 8);
        let mut format =
            Self { page_bytes: page_bytes as usize, salts: [0; 8], sums: [0, 0], big_endian };
        format.salts.copy_from_slice(&header[16..24]);
        format.sums = format.add([0, 0], &header[..24]);
        let whole = format.sums == [word(header, 24), word(header, 28)];
        let possible = page_bytes.is_power_of_two() && (512..=65_536).contains(&page_bytes);
        (whole && possible).then_some(format)
    }

    fn add(&self, mut sums: [u32; 2], bytes: &[u8]) -> [u32; 2] {
        for pair in bytes.chunks_exact(8) {
            sums[0] = sums[0].wrapping_add(self.summand(pair, 0)).wrapping_add(sums[1]);
            sums[1] = sums[1].wrapping_add(self.summand(pair, 4)).wrapping_add(sums[0]);
        }
        sums
    }

    fn summand(&self, bytes: &[u8], at: usize) -> u32 {
        let word = word(bytes, at);
        if self.big_endian { word } else { word.swap_bytes() }
    }

    fn sums_after(&self, sums: [u32; 2], frame: &[u8]) -> [u32; 2] {
        self.add(self.add(sums, &frame[..8]), &frame[FRAME_HEADER_BYTES..])
    }

    /// Whether `frame` comes after what has these sums.
    fn follows(&self, sums: [u32; 2], frame: &[u8]) -> bool {
        word(frame, 0) != 0
            && self.is_of_this_journal(frame)
            && self.sums_after(sums, frame) == stored_sums(frame)
    }

    /// Whether the frame was written since the journal was begun anew. What is older has other
    /// salts.
    fn is_of_this_journal(&self, frame: &[u8]) -> bool {
        frame[8..16] == self.salts
    }

    /// What a later transaction would be built upon, if `frame` is the end of one: its sums as they
    /// are stored, or as they `should` be.
    fn ends_of(&self, frame: &[u8], should: Option<[u32; 2]>) -> [Option<[u32; 2]>; 2] {
        let is_end = self.is_of_this_journal(frame) && word(frame, 4) != 0;
        [Some(stored_sums(frame)), should].map(|sums| sums.filter(|_| is_end))
    }

    /// With which other bit `frame` would come after what has these sums.
    fn repair(&self, sums: [u32; 2], frame: &[u8]) -> Repair {
        let found = self.sums_after(sums, frame);
        let missing = [0, 1].map(|n| stored_sums(frame)[n].wrapping_sub(found[n]));
        if !self.is_of_this_journal(frame) {
            return match one_bit_apart(&frame[8..16], &self.salts) {
                Some((at, mask)) if missing == [0, 0] => Repair::Bit(8 + at, mask),
                Some(_) | None => Repair::None,
            };
        }
        let in_sums = one_bit_apart(&frame[16..24], &bytes(found));
        let repair = in_sums.map_or(Repair::None, |(at, mask)| Repair::Bit(16 + at, mask));
        self.repair_summand(frame, missing, repair)
    }

    /// The same, of what is summed, when the sums are `missing` so much. They are linear: a change
    /// of a word changes them by a multiple of what depends on its place alone.
    fn repair_summand(&self, frame: &[u8], missing: [u32; 2], mut repair: Repair) -> Repair {
        let (mut of_first, mut of_second) = ([1_u32, 1], [0_u32, 1]);
        let pairs = std::iter::once(0).chain((FRAME_HEADER_BYTES..frame.len()).step_by(8));
        for pair in pairs.collect::<Vec<_>>().into_iter().rev() {
            for (at, weight) in [(pair, of_first), (pair + 4, of_second)] {
                let summand = self.summand(frame, at);
                let explains = |bit: &u32| {
                    let change = (summand ^ (1 << bit)).wrapping_sub(summand);
                    weight.map(|weight| weight.wrapping_mul(change)) == missing
                };
                for bit in (0..32).filter(explains) {
                    let byte = bit as usize / 8;
                    let byte = if self.big_endian { 3 - byte } else { byte };
                    repair = repair.or(at + byte, 1 << (bit % 8));
                }
            }
            of_first = one_pair_further(of_first);
            of_second = one_pair_further(of_second);
        }
        repair
    }
}

/// The byte and the bit in which the two differ, if it is one.
fn one_bit_apart(one: &[u8], other: &[u8]) -> Option<(usize, u8)> {
    let mut differing =
        one.iter().zip(other).map(|(a, b)| a ^ b).enumerate().filter(|(_, d)| *d != 0);
    let (at, mask) = differing.next()?;
    (differing.next().is_none() && mask.is_power_of_two()).then_some((at, mask))
}

fn bytes(sums: [u32; 2]) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&sums[0].to_be_bytes());
    bytes[4..].copy_from_slice(&sums[1].to_be_bytes());
    bytes
}

/// What a change of the sums has become after the next pair of words.
fn one_pair_further(change: [u32; 2]) -> [u32; 2] {
    let first = change[0].wrapping_add(change[1]);
    [first, change[1].wrapping_add(first)]
}

fn stored_sums(frame: &[u8]) -> [u32; 2] {
    [word(frame, 16), word(frame, 20)]
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn is_zero(mut from: impl Read) -> io::Result<bool> {
    let mut chunk = [0; 4096];
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(true),
            length if chunk[..length].iter().any(|&byte| byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Fills `buffer`; says no if there is not that much left.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    unless_it_ends(from.read_exact(buffer))
}

#[cfg(test)]
mod tests;

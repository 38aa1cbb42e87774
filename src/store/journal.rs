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
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    const FRAME: usize = FRAME_HEADER_BYTES + 4096;

    /// A journal as SQLite writes it: `commits` transactions, after an earlier journal in the same
    /// file that was longer.
    fn journal(commits: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        let write = |count: usize| {
            for number in 0..count {
                let blob = vec![b'x'; 3000 * (number % 3 + 1)];
                connection.execute("INSERT INTO t VALUES (?1)", [blob]).unwrap();
            }
        };
        write(commits * 2);
        connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
        write(commits);
        std::fs::read(folder.path().join("db-wal")).unwrap()
    }

    /// Where the frames of the present journal end, and where its last transaction begins.
    fn end_and_last(journal: &[u8]) -> (usize, usize) {
        let (end, begins) = transactions(journal);
        (end, begins[begins.len() - 1])
    }

    /// Where the frames of the present journal end, and where its transactions begin.
    fn transactions(journal: &[u8]) -> (usize, Vec<usize>) {
        let salts = &journal[16..24];
        let frames: Vec<_> = journal[HEADER_BYTES..].chunks_exact(FRAME).collect();
        let count = frames.iter().take_while(|frame| frame[8..16] == *salts).count();
        let is_commit = |frame: &[u8]| word(frame, 4) != 0;
        let after_commits = (0..count - 1).filter(|&at| is_commit(frames[at])).map(|at| at + 1);
        let place = |frame: usize| HEADER_BYTES + frame * FRAME;
        (place(count), std::iter::once(0).chain(after_commits).map(place).collect())
    }

    fn inspected(journal: &[u8]) -> Inspected {
        inspect(journal).unwrap()
    }

    #[test]
    fn a_whole_journal_is_whole_and_so_is_none() {
        for commits in [1, 2, 7] {
            assert_eq!(inspected(&journal(commits)), Ok(Standing::Whole));
        }
        assert_eq!(inspected(&[]), Ok(Standing::Whole));
        assert_eq!(inspected(&[0; 100_000]), Ok(Standing::Whole));
        assert_eq!(inspected(&[1; 31]), Ok(Standing::Whole));
    }

    #[test]
    fn one_wrong_bit_anywhere_in_it_is_found() {
        let whole = journal(3);
        let (end, last) = end_and_last(&whole);
        let (mut refused, mut all) = (0, 0);
        // Every bit of the headers, and some of every frame.
        let at = |byte: usize| {
            byte < HEADER_BYTES
                || (byte - HEADER_BYTES) % FRAME < FRAME_HEADER_BYTES
                || byte.is_multiple_of(499)
        };
        for byte in (0..end).filter(|&byte| at(byte)) {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[byte] ^= 1 << bit;
                let right = WrongBit { at: byte as u64, mask: 1 << bit };
                match inspected(&damaged) {
                    Ok(Standing::OneBit(found)) => assert_eq!(found, right),
                    Ok(Standing::Unclear(_)) => assert!(byte >= last, "byte {byte}, bit {bit}"),
                    Ok(Standing::Whole) => panic!("byte {byte}, bit {bit}"),
                    Err(_) => refused += 1,
                }
                all += 1;
            }
        }
        assert!(refused * 3 < all, "{refused} of {all} could not be put right");
    }

    #[test]
    fn two_wrong_bits_are_damage() {
        let whole = journal(5);
        let (_, last) = end_and_last(&whole);
        for (one, other) in [(100, 200), (100, 100 + FRAME), (3, 7), (7, 100), (last - 9, last - 1)]
        {
            let mut damaged = whole.clone();
            damaged[one] ^= 1;
            damaged[other] ^= 16;
            assert!(inspected(&damaged).is_err(), "bytes {one} and {other}");
        }
    }

    #[test]
    fn what_lies_behind_it_does_not_matter() {
        let whole = journal(5);
        let (end, _) = end_and_last(&whole);
        for byte in (end..whole.len()).step_by(61) {
            let mut other = whole.clone();
            other[byte] ^= 4;
            assert_eq!(inspected(&other), Ok(Standing::Whole), "byte {byte}");
        }
    }

    #[test]
    fn a_sector_lost_long_ago_is_damage_and_in_the_last_transaction_is_none() {
        let whole = journal(5);
        let (end, begins) = transactions(&whole);
        let [.., before_last, last] = begins[..] else { panic!() };
        for sector in (0..end).step_by(512) {
            let mut other = whole.clone();
            // As it was before: zeros, as they are set aside.
            other[sector..(sector + 512).min(end)].fill(0);
            if other == whole {
                continue;
            }
            match inspected(&other) {
                Ok(Standing::OneBit(bit)) => {
                    other[bit.at as usize] ^= bit.mask;
                    assert_eq!(other, whole, "only one bit of it was set");
                }
                // What was lost may have said that a transaction ended there.
                Ok(Standing::Whole | Standing::Unclear(_)) => assert!(sector + 512 > before_last),
                Err(_) => assert!(sector < last, "sector at {sector}"),
            }
        }
    }

    #[test]
    fn what_two_interrupted_transactions_have_left_is_no_damage() {
        let whole = journal(5);
        let (end, last) = end_and_last(&whole);
        assert!(end - last >= 2 * FRAME, "the last transaction has a frame before its last");
        // It was written over a longer one that did not come to its end either.
        let mut left = whole[..end].to_vec();
        left.extend_from_slice(&whole[last..last + FRAME]);
        left.resize(whole.len(), 0);
        assert_eq!(inspected(&left), Ok(Standing::Whole));
        // And the one that is being written now has come no further than its first frame.
        for torn in [last + 8, last + FRAME_HEADER_BYTES] {
            left[torn..last + FRAME - 100].fill(7);
            assert_eq!(inspected(&left), Ok(Standing::Whole), "from {torn}");
        }
    }

    #[test]
    fn a_transaction_that_was_interrupted_is_no_damage() {
        let whole = journal(5);
        let (end, last) = end_and_last(&whole);
        for length in (last..end).step_by(501) {
            let mut cut = whole[..length].to_vec();
            assert_eq!(inspected(&cut), Ok(Standing::Whole), "cut at {length}");
            cut.resize(whole.len(), 0);
            assert!(inspected(&cut).is_ok(), "cut at {length}, zeros behind");
        }
    }
}

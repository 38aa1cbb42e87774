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
    for (one, other) in [(100, 200), (100, 100 + FRAME), (3, 7), (7, 100), (last - 9, last - 1)] {
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

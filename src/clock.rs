//! The only reader of the OS's clocks.
#![expect(clippy::disallowed_methods, reason = "this file owns the clocks")]

use octostore_actors::{
    domain::values::WallTime,
    time::{Clock, Instant},
};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::{
    io,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Tells both times: the lease clock, on which everything runs, and the wall clock, which only
/// says how instants print.
pub trait TimeSource: Clock {
    /// The wall clock, in nanoseconds since 1970, up to the year 2262. It may jump.
    fn wall_nanos(&self) -> i64;

    /// The same as it was at the last tick, some milliseconds ago: cheaper by far.
    fn recent_wall_nanos(&self) -> i64 {
        self.wall_nanos()
    }
}

/// The clocks of this machine: `CLOCK_BOOTTIME` and `CLOCK_REALTIME`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

impl TimeSource for SystemClock {
    fn wall_nanos(&self) -> i64 {
        nanos_since_1970(clock_gettime(ClockId::Realtime))
    }

    fn recent_wall_nanos(&self) -> i64 {
        nanos_since_1970(clock_gettime(ClockId::RealtimeCoarse))
    }
}

/// The clock of [`std::time::Instant`] as it was at the last tick of the system, some milliseconds
/// ago, for a tenth of the price: for deadlines of sockets.
pub fn recent_instant() -> std::time::Instant {
    static START: LazyLock<(std::time::Instant, Duration)> =
        LazyLock::new(|| (std::time::Instant::now(), since_boot()));
    let (start, at) = *START;
    start + since_boot().saturating_sub(at)
}

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::MonotonicCoarse)).unwrap_or_default()
}

fn nanos_since_1970(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// Prints instants of the lease clock as wall-clock times.
///
/// The distance between the two clocks is kept and only replaced when it has really moved, so
/// that one instant prints alike twice.
pub struct Calendar {
    source: Arc<dyn TimeSource>,
    /// Wall minus lease clock, in nanoseconds.
    distance: AtomicI64,
}

/// A distance that is off by less than this is noise of the reading.
const SAME_DISTANCE: Duration = Duration::from_millis(20);

/// A reading that took longer than this says nothing about the distance.
const QUICK_READING: Duration = Duration::from_millis(2);

/// How many readings the first distance is the best of: it is kept, and one that came of an interruption
/// would print every time wrong, and otherwise than before a restart.
const FIRST_READINGS: usize = 10;

impl Calendar {
    /// A calendar of `source`'s clocks.
    pub fn new(source: Arc<dyn TimeSource>) -> Self {
        let mut quickest = read(&*source);
        for _ in 1..FIRST_READINGS {
            let another = read(&*source);
            if another.1 < quickest.1 {
                quickest = another;
            }
        }
        Self { source, distance: AtomicI64::new(quickest.0) }
    }

    /// The present instant of the lease clock.
    pub fn now(&self) -> Instant {
        self.source.now()
    }

    /// The present time of the wall clock, to some milliseconds.
    pub fn wall(&self) -> WallTime {
        WallTime::from_millis(whole_millis(self.source.recent_wall_nanos()))
    }

    /// `instant` on the wall clock, rounded down to the millisecond: a lease never ends before
    /// the time that was printed for it.
    pub fn print(&self, instant: Instant) -> WallTime {
        let since_boot = i64::try_from(instant.as_nanos()).unwrap_or(i64::MAX);
        WallTime::from_millis(whole_millis(since_boot.saturating_add(self.current_distance())))
    }

    fn current_distance(&self) -> i64 {
        let known = self.distance.load(Ordering::Relaxed);
        let about = distance(self.source.recent_wall_nanos(), self.source.now());
        if is_same(about, known) {
            return known;
        }
        let (read, took) = read(&*self.source);
        if took > QUICK_READING || is_same(read, known) {
            return known;
        }
        self.distance.store(read, Ordering::Relaxed);
        read
    }
}

/// The distance, and how long it took to read it: the longer, the less it says.
fn read(source: &dyn TimeSource) -> (i64, Duration) {
    let before = source.now();
    let wall = source.wall_nanos();
    let after = source.now();
    (distance(wall, before), after.since(before))
}

fn is_same(distance: i64, known: i64) -> bool {
    u128::from(distance.abs_diff(known)) < SAME_DISTANCE.as_nanos()
}

impl Clock for Calendar {
    fn now(&self) -> Instant {
        self.source.now()
    }
}

fn distance(wall: i64, boot: Instant) -> i64 {
    wall.saturating_sub_unsigned(boot.as_nanos())
}

fn whole_millis(nanos: i64) -> i64 {
    nanos.div_euclid(1_000_000)
}

/// One boot of one machine, as far as its lease clock goes: within it the clock runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootId(String);

impl BootId {
    /// The present boot. A time namespace with its own offset counts as a boot of its own.
    ///
    /// # Errors
    /// The kernel does not say: `/proc` is not mounted.
    pub fn read() -> io::Result<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        // A kernel without time namespaces has no such file, and no offset either.
        let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        let offset = offsets
            .lines()
            .find_map(|line| line.strip_prefix("boottime"))
            .map(|rest| rest.split_whitespace().collect::<Vec<_>>().join("."))
            .unwrap_or_default();
        Ok(Self(format!("{}+{offset}", boot.trim())))
    }

    /// The boot that has this name: see [`BootId::as_str`].
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Its name, by which it is known again.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[derive(Default)]
    struct Clocks {
        boot: AtomicU64,
        wall: AtomicI64,
    }

    impl Clock for Clocks {
        fn now(&self) -> Instant {
            Instant::from_nanos(self.boot.load(Ordering::Relaxed))
        }
    }

    impl TimeSource for Clocks {
        fn wall_nanos(&self) -> i64 {
            self.wall.load(Ordering::Relaxed)
        }
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn an_instant_prints_alike_until_the_wall_clock_really_moves() {
        let clocks = Arc::new(Clocks::default());
        clocks.wall.store(1_700_000_000 * SECOND as i64, Ordering::Relaxed);
        let calendar = Calendar::new(Arc::clone(&clocks) as Arc<dyn TimeSource>);
        let lease_end = Instant::from_nanos(60 * SECOND);
        let printed = calendar.print(lease_end);
        assert_eq!(printed.as_millis(), 1_700_000_060_000);

        clocks.wall.fetch_add(1_000_000, Ordering::Relaxed);
        assert_eq!(calendar.print(lease_end), printed, "a millisecond is noise");
        clocks.wall.fetch_add(3600 * SECOND as i64, Ordering::Relaxed);
        let moved = calendar.print(lease_end).as_millis() - printed.as_millis();
        assert_eq!(moved, 3_600_001, "an hour is a jump");
    }

    #[test]
    fn an_instant_prints_alike_after_a_jump_too() {
        let clocks = Arc::new(Clocks::default());
        let calendar = Calendar::new(Arc::clone(&clocks) as Arc<dyn TimeSource>);
        clocks.wall.store(3600 * SECOND as i64, Ordering::Relaxed);
        let printed = calendar.print(Instant::from_nanos(0));
        clocks.wall.fetch_add(1_000_000, Ordering::Relaxed);
        assert_eq!(calendar.print(Instant::from_nanos(0)), printed, "a millisecond is noise");
    }

    /// Clocks that show the same, to somebody who is stopped for a second after so many looks.
    #[derive(Default)]
    struct Interrupted {
        time: AtomicU64,
        interruptions: AtomicU64,
    }

    impl Interrupted {
        fn look(&self) -> u64 {
            let left = self.interruptions.load(Ordering::Relaxed);
            self.interruptions.store(left.saturating_sub(1), Ordering::Relaxed);
            self.time.fetch_add(left.min(1) * SECOND, Ordering::Relaxed)
        }
    }

    impl Clock for Interrupted {
        fn now(&self) -> Instant {
            Instant::from_nanos(self.look())
        }
    }

    impl TimeSource for Interrupted {
        fn wall_nanos(&self) -> i64 {
            self.look().cast_signed()
        }
    }

    #[test]
    fn a_reader_that_was_interrupted_does_not_take_that_for_a_jump() {
        let clocks = Arc::new(Interrupted::default());
        let calendar = Calendar::new(Arc::clone(&clocks) as Arc<dyn TimeSource>);
        clocks.interruptions.store(1_000, Ordering::Relaxed);
        for _ in 0..2 {
            assert_eq!(calendar.print(Instant::from_nanos(0)), WallTime::from_millis(0));
        }
    }

    #[test]
    fn a_reader_that_is_interrupted_as_it_begins_reads_again() {
        let clocks = Arc::new(Interrupted::default());
        clocks.interruptions.store(10, Ordering::Relaxed);
        let calendar = Calendar::new(Arc::clone(&clocks) as Arc<dyn TimeSource>);
        assert_eq!(calendar.print(Instant::from_nanos(0)), WallTime::from_millis(0));
    }

    #[test]
    fn printing_rounds_down() {
        let clocks = Arc::new(Clocks::default());
        let calendar = Calendar::new(Arc::clone(&clocks) as Arc<dyn TimeSource>);
        let printed = calendar.print(Instant::from_nanos(1_999_999));
        assert_eq!(printed, WallTime::from_millis(1));
    }

    /// What `/proc/uptime` says, which counts suspended time.
    fn uptime() -> f64 {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    }

    #[test]
    fn the_lease_clock_counts_from_the_boot() {
        let before = uptime();
        let now = SystemClock.now();
        let after = uptime();
        let seconds = now.as_nanos() as f64 / SECOND as f64;
        // It prints hundredths, rounded down.
        assert!(before <= seconds && seconds < after + 0.01, "{before}, {seconds}, {after}");
        assert!(now <= SystemClock.now());
    }

    #[test]
    fn the_wall_clock_is_that_of_everybody_else() {
        const HOUR: u128 = 3600 * SECOND as u128;
        let since_1970 = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let wall = u128::try_from(SystemClock.wall_nanos()).unwrap();
        assert!(wall.abs_diff(since_1970) < HOUR, "{wall} against {since_1970}");
        let millis = Calendar::new(Arc::new(SystemClock)).wall().as_millis();
        assert!((u128::try_from(millis).unwrap() * 1_000_000).abs_diff(wall) < HOUR);
    }

    #[test]
    fn one_boot_has_one_id() {
        let boot = BootId::read().unwrap();
        assert_eq!(boot, BootId::read().unwrap());
        assert_ne!(boot, BootId::named("another"));
    }

    /// How far the clock is set forward for [`in_another_boot`].
    const FORWARD: u64 = 1_000_000;

    /// Runs in a process of its own, when [`in_another_boot`] says so.
    #[test]
    #[ignore = "it is part of the next"]
    fn inside_another_boot() {
        println!("lease clock {}", SystemClock.now().as_nanos() / SECOND);
        println!("boot {}", BootId::read().unwrap().as_str());
    }

    /// What the part above says where the clock of suspended time, and no other, was set forward.
    fn in_another_boot() -> Option<String> {
        let test = std::env::current_exe().unwrap();
        // The second for whoever is not root.
        for spaces in [&["--time"][..], &["--user", "--map-root-user", "--time"]] {
            let ran = std::process::Command::new("unshare")
                .args(spaces)
                .args(["--fork", "--boottime", &FORWARD.to_string()])
                .arg(&test)
                .args(["clock::tests::inside_another_boot", "--exact", "--ignored", "--nocapture"])
                .output();
            if let Ok(ran) = ran
                && ran.status.success()
            {
                return Some(String::from_utf8(ran.stdout).unwrap());
            }
        }
        eprintln!("SKIPPED: no time namespace can be had here, so CLOCK_BOOTTIME is NOT TESTED");
        None
    }

    #[test]
    fn time_in_suspend_counts_and_another_boot_has_another_id() {
        let here = SystemClock.now().as_nanos() / SECOND;
        let Some(said) = in_another_boot() else { return };
        let after = |word: &str| said.lines().find_map(|line| line.split_once(word)).unwrap().1;
        let there: u64 = after("lease clock ").parse().unwrap();
        assert!(there >= here + FORWARD, "{there} after {here}: it is CLOCK_BOOTTIME that counts");
        assert_ne!(after("boot "), BootId::read().unwrap().as_str());
    }
}

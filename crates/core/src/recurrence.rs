//! When a task that comes again comes again. The calendar's rules are croner's, the time zones' those of the IANA database that is
//! built in: nothing is read from the machine. What was computed is in the event of the run it gave birth to, so that another release
//! of the database changes nothing that has happened.

use crate::plan::Problem;
use crate::spec::{CatchUp, Overlap, Recurrence};
use crate::time::Time;
use croner::Cron;
use croner::parser::{CronParser, Year};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The shortest interval of a recurring task, in milliseconds.
const EVERY_MIN: u64 = 500;
/// The longest expression of a calendar, in bytes.
const CRON_MAX: usize = 256;
/// How late a run may start where each that was missed comes, and nothing else is said: a day, in milliseconds.
const CATCH_UP_ALL_MS: u64 = 86_400_000;

/// What is wrong with a recurrence, each with its field and what is allowed.
pub fn check(recurrence: &Recurrence, now: Time) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: String| problems.push(Problem::new(format!("recurrence.{field}"), message));
    match (&recurrence.every, &recurrence.cron) {
        (Some(every), None) if every.ms < EVERY_MIN => wrong("every", format!("is shorter than {EVERY_MIN}ms")),
        (Some(_), None) => {}
        (None, Some(cron)) => match calendar(recurrence) {
            Err((field, why)) => wrong(field, why),
            Ok(_) if next_after(recurrence, now, now).is_none() => wrong("cron", format!("{cron:?} never comes")),
            Ok(_) => {}
        },
        (Some(_), Some(_)) | (None, None) => wrong("every", "give either `every` or `cron`".into()),
    }
    if recurrence.time_zone.is_some() && recurrence.cron.is_none() {
        wrong("time_zone", "goes with `cron`; an interval has no clock".into());
    }
    if recurrence.times == Some(0) {
        wrong("times", "is 0; leave it out for a task without end".into());
    }
    problems
}

/// The due time that follows `after`. An interval is counted from `anchor`. `None` where the calendar has no more.
pub fn next_after(recurrence: &Recurrence, anchor: Time, after: Time) -> Option<Time> {
    if let Some(every) = &recurrence.every {
        let every = every.ms.max(1);
        return Some(anchor.plus(every * (after.since(anchor) / every + 1)));
    }
    let (cron, zone) = calendar(recurrence).ok()?;
    // The calendar counts in seconds: one that has begun is over.
    let from = Timestamp::from_millisecond(after.0.div_euclid(1_000) * 1_000).ok()?.to_zoned(zone);
    let found = cron.find_next_occurrence(&from, false).ok()?;
    Some(Time(found.timestamp().as_millisecond()))
}

/// The first due time that is not before `from`.
pub fn first_from(recurrence: &Recurrence, from: Time) -> Option<Time> {
    next_after(recurrence, from, Time(from.0 - 1))
}

/// Up to `count` due times after `after`.
pub fn upcoming(recurrence: &Recurrence, anchor: Time, after: Time, count: usize) -> Vec<Time> {
    std::iter::successors(next_after(recurrence, anchor, after), |at| next_after(recurrence, anchor, *at)).take(count).collect()
}

/// The due time of the run after one that was due at `due`, released at `released`, and has now been released (where runs may stand
/// beside each other) or has ended.
pub(crate) fn following(recurrence: &Recurrence, due: Time, released: Time, now: Time) -> Option<Time> {
    if recurrence.catch_up == CatchUp::All
        && let Some(missed) = next_after(recurrence, due, due)
        && missed <= released
    {
        return Some(missed);
    }
    match recurrence.overlap {
        Overlap::Queue => next_after(recurrence, due, released),
        Overlap::Skip | Overlap::Allow | Overlap::Replace => next_after(recurrence, due, now),
    }
}

/// The due time a run is moved to that was due at `due` and is too late `now`.
pub(crate) fn moved_to(recurrence: &Recurrence, due: Time, now: Time) -> Option<Time> {
    let window = match (&recurrence.catch_up_window, recurrence.catch_up) {
        (Some(window), _) => window.ms,
        (None, CatchUp::All) => CATCH_UP_ALL_MS,
        (None, CatchUp::One) => return None,
    };
    let oldest = Time(now.0.saturating_sub_unsigned(window));
    if due >= oldest { None } else { next_after(recurrence, due, Time(oldest.0 - 1)) }
}

impl Overlap {
    /// Whether the next run is born when this one is released, and not when it ends.
    pub(crate) fn is_side_by_side(self) -> bool {
        match self {
            Self::Skip | Self::Queue => false,
            Self::Allow | Self::Replace => true,
        }
    }
}

/// The expression and whose clock it is read by; else the field that is wrong, and why.
fn calendar(recurrence: &Recurrence) -> Result<(Cron, TimeZone), (&'static str, String)> {
    let text = recurrence.cron.as_deref().unwrap_or_default();
    if text.len() > CRON_MAX {
        return Err(("cron", format!("has {} bytes; allowed are {CRON_MAX}", text.len())));
    }
    let parser = CronParser::builder().year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|e| {
        ("cron", format!("{text:?}: {e} Write minute, hour, day of the month, month and day of the week: `0 9 * * 1-5`"))
    })?;
    let zone = match recurrence.time_zone.as_deref() {
        None => TimeZone::UTC,
        Some(name) => TimeZoneDatabase::bundled()
            .get(name)
            .map_err(|_| ("time_zone", format!("{name:?} is not in the IANA database; write one like `Europe/Berlin`")))?,
    };
    Ok((cron, zone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WireDuration;

    fn cron(text: &str, zone: &str) -> Recurrence {
        Recurrence { cron: Some(text.into()), time_zone: Some(zone.into()), ..Recurrence::default() }
    }

    fn times(recurrence: &Recurrence, after: &str, count: usize) -> Vec<String> {
        let after = Time::parse(after).unwrap();
        upcoming(recurrence, after, after, count).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_calendar_is_read_by_the_clock_of_its_zone() {
        let nine = cron("0 9 * * 1-5", "Europe/Berlin");
        // A Friday in winter, then the Monday after the clock was put forward.
        assert_eq!(
            times(&nine, "2026-03-26T08:00:00Z", 3),
            ["2026-03-27T08:00:00Z", "2026-03-30T07:00:00Z", "2026-03-31T07:00:00Z"]
        );
        let utc = Recurrence { time_zone: None, ..nine };
        assert_eq!(times(&utc, "2026-03-26T09:00:00.500Z", 1), ["2026-03-27T09:00:00Z"]);
        // Whatever began within the second is over, and the next one is not lost.
        assert_eq!(times(&cron("* * * * * *", "UTC"), "2026-03-26T09:00:00.999Z", 1), ["2026-03-26T09:00:01Z"]);
    }

    #[test]
    fn a_time_the_clock_leaves_out_comes_right_after_and_one_it_shows_twice_comes_once() {
        let half_past_two = cron("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            times(&half_past_two, "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            "2:30 does not exist on that day: 3:00 is the first instant after the gap"
        );
        assert_eq!(
            times(&half_past_two, "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
            "2:30 comes twice on that day: the first counts"
        );
        // Half an hour is put forward here.
        let lord_howe = cron("15 2 * * *", "Australia/Lord_Howe");
        assert_eq!(times(&lord_howe, "2026-10-03T12:00:00Z", 2), ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]);
        // What comes every quarter of an hour comes on through both hours.
        let quarter = cron("*/15 * * * *", "America/New_York");
        assert_eq!(times(&quarter, "2026-11-01T05:30:00Z", 4).last().unwrap(), "2026-11-01T06:30:00Z");
    }

    #[test]
    fn what_cannot_be_read_or_never_comes_names_its_field() {
        let found = |r: Recurrence| check(&r, Time(0)).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        for (recurrence, part) in [
            (cron("0 25 * * *", "UTC"), "recurrence.cron"),
            (cron("0 0 30 2 *", "UTC"), "never comes"),
            (cron("", "UTC"), "recurrence.cron"),
            (cron(&"1,".repeat(200), "UTC"), "allowed are 256"),
            (cron("0 9 * * *", "Mars/Olympus"), "recurrence.time_zone"),
            (Recurrence::default(), "either `every` or `cron`"),
            (Recurrence { every: Some(WireDuration { ms: 1_000 }), ..cron("0 9 * * *", "UTC") }, "either `every` or `cron`"),
            (
                Recurrence { every: Some(WireDuration { ms: 1 }), ..Recurrence::default() },
                "recurrence.every: is shorter than 500ms",
            ),
            (
                Recurrence { every: Some(WireDuration { ms: 1_000 }), time_zone: Some("UTC".into()), ..Recurrence::default() },
                "recurrence.time_zone",
            ),
        ] {
            let found = found(recurrence);
            assert!(found.contains(part), "{part} is missing in {found:?}");
        }
        assert_eq!(found(cron("0 9 * * MON-FRI", "America/New_York")), "");
        assert_eq!(found(cron("@daily", "UTC")), "");
    }

    #[test]
    fn whatever_is_written_there_is_an_answer() {
        let mut state = 7u64;
        let mut draw = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        let parts =
            ["*", "/", "-", ",", "L", "W", "#", "0", "5", "31", "59", "99", "?", "@daily", " ", "MON", "FEB", "+", "é", "\u{0}"];
        for _ in 0..5_000 {
            let text: String = (0..draw(14)).map(|_| parts[draw(parts.len())]).collect();
            let recurrence = cron(&text, "Europe/Berlin");
            if check(&recurrence, Time(1_800_000_000_000)).is_empty() {
                let next = next_after(&recurrence, Time(0), Time(1_800_000_000_000));
                assert!(next.is_some_and(|at| at.0 > 1_800_000_000_000), "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_due_next_depends_on_what_was_missed_and_why() {
        let minute = 60_000;
        let at = |n: u64| Time(0).plus(n * minute);
        let every = Recurrence { every: Some(WireDuration { ms: minute }), ..Recurrence::default() };
        // Due at 10, the server was back at 13:30, the run ended at 15:30.
        let (released, now) = (at(13).plus(30_000), at(15).plus(30_000));
        let next = |overlap, catch_up| following(&Recurrence { overlap, catch_up, ..every.clone() }, at(10), released, now);
        assert_eq!(next(Overlap::Skip, CatchUp::One), Some(at(16)));
        assert_eq!(next(Overlap::Queue, CatchUp::One), Some(at(14)));
        assert_eq!(next(Overlap::Skip, CatchUp::All), Some(at(11)));
        assert_eq!(next(Overlap::Queue, CatchUp::All), Some(at(11)));
        // Nothing was missed before it was released.
        let all = Recurrence { catch_up: CatchUp::All, ..every.clone() };
        assert_eq!(following(&all, at(10), at(10), now), Some(at(16)));

        let within = |ms| Recurrence { catch_up_window: Some(WireDuration { ms }), ..every.clone() };
        assert_eq!(moved_to(&within(minute), at(10), at(11)), None);
        assert_eq!(moved_to(&within(minute), at(10), at(13).plus(30_000)), Some(at(13)));
        assert_eq!(moved_to(&every, at(10), at(100_000)), None);
        assert_eq!(moved_to(&all, at(10), at(3_000)), Some(at(1_560)));
    }
}

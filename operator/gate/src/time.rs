//! Time as the gate reads it: `now` is passed in, and every comparison with a later moment is remembered, so that the
//! decision knows until when it holds.

use std::cell::Cell;

use jiff::{SignedDuration, Timestamp};
use placet_api::scalar::{DateTime, Moment};

/// The moment of a decision.
#[derive(Debug)]
pub struct Now {
    now: Timestamp,
    horizon: Cell<Option<Timestamp>>,
}

impl Now {
    /// A decision at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { now, horizon: Cell::new(None) }
    }

    /// The moment itself.
    pub fn timestamp(&self) -> Timestamp {
        self.now
    }

    /// Whether `moment` has come. A moment still to come bounds how long the decision holds.
    pub fn reached(&self, moment: Timestamp) -> bool {
        if moment <= self.now {
            return true;
        }
        if self.horizon.get().is_none_or(|h| moment < h) {
            self.horizon.set(Some(moment));
        }
        false
    }

    /// Whether a typed day or moment has come; None if there is no such day. A day may be tomorrow's in UTC and today's
    /// elsewhere.
    pub fn has_come(&self, typed: &Moment) -> Option<bool> {
        let slack = if typed.len() == 10 { -1 } else { 0 };
        Some(self.reached(days_after(moment(typed)?, slack)))
    }

    /// The earliest moment still to come that the decision looked at. Until then, the same inputs give the same
    /// decision.
    pub fn horizon(&self) -> Option<Timestamp> {
        self.horizon.get()
    }
}

/// A typed date or date-time; a plain date means 00:00 UTC. None if there is no such day.
pub fn moment(text: &Moment) -> Option<Timestamp> {
    if text.len() != 10 {
        return text.parse().ok();
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    jiff::tz::Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()
}

/// Whether a typed day or moment is before another; where one of them is a day alone, by days. None if there is no such day.
pub fn before(one: &Moment, other: &Moment) -> Option<bool> {
    let (first, then) = (moment(one)?, moment(other)?);
    let days = one.len() == 10 || other.len() == 10;
    Some(if days { day(first) < day(then) } else { first < then })
}

/// The day of a moment in UTC, as it is written.
pub fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// A typed date-time. None if there is no such day.
pub fn date_time(text: &DateTime) -> Option<Timestamp> {
    text.parse().ok()
}

/// `days` days of 24 hours after a moment; the end of time when that is beyond it.
pub fn days_after(start: Timestamp, days: i32) -> Timestamp {
    start.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX)
}

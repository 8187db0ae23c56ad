//! How long work that failed waits before it is tried again: longer each time, and longest where only a change of the
//! object can help. A change of the object makes it be tried at once (its store puts it into the queue) and counts anew.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use placet_evidence::AppendError;

use crate::queue::Work;

/// The first wait; each one after that is twice the one before.
const FIRST: SignedDuration = SignedDuration::from_millis(500);
/// The longest wait for what may pass by itself: an API server that is away, a full log. Short, since nobody looks at
/// what waits, and long enough that a thousand such objects cost a hundred requests a second.
const PASSING: SignedDuration = SignedDuration::from_secs(10);
/// The longest wait for what trying again does not help.
const LASTING: SignedDuration = SignedDuration::from_mins(10);
/// Characters of an error in our own log: the API server repeats the whole text that it refuses.
const MOST_SAID: usize = 1000;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It may pass.
    Passing,
    /// The API server calls what was sent invalid.
    Invalid,
    /// What happened is too large to be recorded.
    TooLarge,
}

impl Failure {
    /// The kind of an error.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.downcast_ref::<AppendError>().is_some_and(AppendError::is_permanent) {
            return Self::TooLarge;
        }
        let invalid = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<kube::Error>())
            .any(|cause| matches!(cause, kube::Error::Api(status) if matches!(status.code, 400 | 413 | 422)));
        if invalid { Self::Invalid } else { Self::Passing }
    }
}

/// How often work failed, by what it is about.
#[derive(Debug, Default)]
pub(crate) struct Retries(BTreeMap<Work, Tried>);

#[derive(Debug)]
struct Tried {
    /// Version of the object that it failed for.
    version: String,
    /// The last wait.
    wait: SignedDuration,
}

impl Retries {
    /// After how long to try again. `version` is that of the object that the work is about.
    pub(crate) fn failed(&mut self, work: &Work, version: String, failure: Failure) -> SignedDuration {
        let longest = match failure {
            Failure::Passing => PASSING,
            Failure::Invalid => LASTING,
            Failure::TooLarge => return LASTING,
        };
        let before = self.0.get(work).filter(|tried| tried.version == version);
        let wait = before.map_or(FIRST, |tried| tried.wait.saturating_mul(2)).min(longest);
        self.0.insert(work.clone(), Tried { version, wait });
        wait
    }

    /// It worked, or there is nothing to do any more.
    pub(crate) fn done(&mut self, work: &Work) {
        self.0.remove(work);
    }
}

/// An error as our own log tells it.
pub(crate) fn said(error: &anyhow::Error) -> String {
    crate::status::cut(&format!("{error:#}"), MOST_SAID)
}

#[cfg(test)]
mod tests {
    use placet_api::Kind;

    use super::*;

    fn refused(code: u16) -> anyhow::Error {
        let status = kube::core::Status { code, ..kube::core::Status::failure("no", "No") };
        anyhow::Error::new(kube::Error::Api(status.boxed())).context("status of Approval lending/a")
    }

    #[test]
    fn what_only_a_change_can_help_waits_up_to_ten_minutes() {
        let work = Work::Object(Kind::Approval, "lending".into(), "a".into());
        let mut retries = Retries::default();
        let mut wait = |version: &str, code| {
            retries.failed(&work, version.to_owned(), Failure::of(&refused(code))).as_millis()
        };
        let waits: Vec<i128> = (0..13).map(|_| wait("7", 422)).collect();
        assert_eq!(waits[..6], [500, 1000, 2000, 4000, 8000, 16_000]);
        assert_eq!(waits[10..], [512_000, 600_000, 600_000]);
        // A change counts anew, and what may pass never waits long.
        assert_eq!((wait("8", 400), wait("8", 413)), (500, 1000));
        let waits: Vec<i128> = (0..7).map(|_| wait("9", 500)).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        retries.done(&work);
        assert_eq!(retries.failed(&work, "9".into(), Failure::Passing), FIRST);
        assert_eq!(retries.failed(&work, "9".into(), Failure::TooLarge), LASTING);
    }

    #[test]
    fn an_error_is_told_in_part() {
        let said = said(&anyhow::anyhow!("é".repeat(3000)));
        assert!(said.chars().count() == MOST_SAID && said.ends_with("é…"), "{said}");
    }
}

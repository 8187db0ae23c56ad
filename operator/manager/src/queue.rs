//! What waits to be looked at again, in an order in which no namespace waits for another's thousand objects.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use placet_api::Kind;
use tokio::sync::Notify;

/// What a change makes necessary to look at again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A release, by namespace and name.
    Release(String, String),
    /// The status of another object of ours.
    Object(Kind, String, String),
}

impl Work {
    /// Whose turn it takes; that of cluster kinds has no name.
    fn namespace(&self) -> &str {
        match self {
            Self::Release(namespace, _) | Self::Object(_, namespace, _) => namespace,
        }
    }
}

/// Work that waits; the same work waits once. Namespaces take turns, one piece of work each.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By namespace; none of them is empty.
    of: BTreeMap<String, BTreeSet<Work>>,
    /// Whose turn it was last.
    last: String,
}

impl Queue {
    /// Adds work. Nothing added ends nobody's wait: the worker itself adds what is due at each turn, and would never rest.
    pub fn push(&self, work: impl IntoIterator<Item = Work>) {
        let mut work = work.into_iter().peekable();
        if work.peek().is_none() {
            return;
        }
        let mut waiting = self.waiting();
        for work in work {
            if let Some(of) = waiting.of.get_mut(work.namespace()) {
                of.insert(work);
            } else {
                waiting.of.insert(work.namespace().to_owned(), BTreeSet::from([work]));
            }
        }
        drop(waiting);
        self.wake();
    }

    /// Takes the next piece of work that is not among `busy`: of the namespace that comes after the last one's.
    pub fn next(&self, busy: &BTreeSet<Work>) -> Option<Work> {
        let mut waiting = self.waiting();
        let after = (Bound::Excluded(waiting.last.as_str()), Bound::Unbounded);
        let round = waiting.of.range::<str, _>(after).map(|(_, of)| of).chain(waiting.of.values());
        let next = round.flatten().find(|work| !busy.contains(*work))?.clone();
        let namespace = next.namespace().to_owned();
        if let Some(of) = waiting.of.get_mut(&namespace) {
            of.remove(&next);
            if of.is_empty() {
                waiting.of.remove(&namespace);
            }
        }
        waiting.last = namespace;
        Some(next)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting().of.is_empty()
    }

    /// Waits until there may be work.
    pub async fn ring(&self) {
        self.bell.notified().await;
    }

    /// Ends the wait of [`Queue::ring`], now or the next time.
    pub fn wake(&self) {
        self.bell.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(namespace: &str, name: &str) -> Work {
        Work::Release(namespace.to_owned(), name.to_owned())
    }

    fn order(queue: &Queue) -> Vec<Work> {
        std::iter::from_fn(|| queue.next(&BTreeSet::new())).collect()
    }

    #[test]
    fn namespaces_take_turns() {
        let queue = Queue::default();
        queue.push((0..800).map(|n| release("big", &format!("{n:03}"))));
        queue
            .push([release("small", "one"), Work::Object(Kind::ReleasePolicy, String::new(), "high".into())]);
        queue.push([release("small", "two"), release("big", "000")]);
        let order = order(&queue);
        assert_eq!(order.len(), 803, "what waits twice is done once");
        let place = |work: &Work| order.iter().position(|w| w == work).unwrap();
        assert!(place(&Work::Object(Kind::ReleasePolicy, String::new(), "high".into())) < 3);
        assert!(place(&release("small", "one")) < 3);
        assert!(place(&release("small", "two")) < 6);
        assert!(queue.is_empty());
    }

    #[test]
    fn nothing_added_wakes_nobody() {
        use futures::FutureExt as _;
        let queue = Queue::default();
        queue.push([]);
        assert_eq!(queue.ring().now_or_never(), None);
        queue.push([release("a", "1")]);
        assert_eq!(queue.ring().now_or_never(), Some(()));
    }

    #[test]
    fn a_turn_is_not_begun_anew_by_new_work() {
        let queue = Queue::default();
        queue.push([release("a", "1"), release("b", "1"), release("c", "1")]);
        assert_eq!(queue.next(&BTreeSet::new()), Some(release("a", "1")));
        queue.push([release("a", "2")]);
        assert_eq!(order(&queue), [release("b", "1"), release("c", "1"), release("a", "2")]);
    }

    #[test]
    fn what_is_busy_waits_and_stays() {
        let queue = Queue::default();
        queue.push([release("a", "1"), release("b", "1")]);
        let busy = BTreeSet::from([release("a", "1"), release("b", "1")]);
        assert_eq!(queue.next(&busy), None);
        assert_eq!(queue.next(&BTreeSet::from([release("a", "1")])), Some(release("b", "1")));
        assert_eq!(order(&queue), [release("a", "1")]);
    }
}

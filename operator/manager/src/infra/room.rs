//! How much one namespace may take of something that is kept of every namespace.

use std::collections::HashMap;

/// What is taken, by namespace.
#[derive(Debug, Default)]
pub struct Rooms(HashMap<String, usize>);

/// What of something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// All of it.
    Whole,
    /// Only what must be.
    Cut,
    /// Nothing.
    Nothing,
}

impl Rooms {
    /// Takes room for something that is so many bytes long, and so many if it is cut: up to `most` bytes of a namespace are
    /// kept whole, and up to one and a half times that in all.
    pub fn take(&mut self, namespace: &str, most: usize, whole: usize, cut: usize) -> Fit {
        let taken = self.taken(namespace);
        let (fit, bytes) = if taken + whole <= most {
            (Fit::Whole, whole)
        } else if taken + cut <= most + most / 2 {
            (Fit::Cut, cut)
        } else {
            return Fit::Nothing;
        };
        if bytes > 0 {
            *self.0.entry(namespace.to_owned()).or_default() += bytes;
        }
        fit
    }

    /// Gives room back.
    pub fn give(&mut self, namespace: &str, bytes: usize) {
        if let Some(taken) = self.0.get_mut(namespace) {
            *taken = taken.saturating_sub(bytes);
            if *taken == 0 {
                self.0.remove(namespace);
            }
        }
    }

    /// Bytes that a namespace takes.
    pub fn taken(&self, namespace: &str) -> usize {
        self.0.get(namespace).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_fills_its_own_room_only_and_what_is_given_back_is_free() {
        let mut rooms = Rooms::default();
        let mut take = |ns: &str| rooms.take(ns, 100, 40, 10);
        assert_eq!([take("a"), take("a")], [Fit::Whole; 2]);
        assert_eq!(
            [take("a"), take("a"), take("a"), take("a"), take("a"), take("a"), take("a")],
            [Fit::Cut; 7]
        );
        assert_eq!(take("a"), Fit::Nothing);
        assert_eq!(take("b"), Fit::Whole);
        assert_eq!((rooms.taken("a"), rooms.taken("b")), (150, 40));
        rooms.give("a", 90);
        assert_eq!(rooms.take("a", 100, 40, 10), Fit::Whole);
        rooms.give("a", 100);
        rooms.give("b", 40);
        assert!(rooms.0.is_empty());
    }
}

//! A list that is being read, with a bound on what of each namespace is held.

use serde_json::Value;

use super::room::{Fit, Rooms};

/// A list of objects, kept as text until each is looked at: as values, all of them together would take several times as
/// much, and be the most that the process ever takes.
#[derive(Debug, Clone, Default)]
pub struct Listed(Vec<Box<str>>);

impl From<Vec<Value>> for Listed {
    fn from(objects: Vec<Value>) -> Self {
        Self(objects.iter().map(|object| object.to_string().into()).collect())
    }
}

/// As the objects are, whatever the order of their fields.
impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.clone().into_iter().eq(other.clone())
    }
}

impl IntoIterator for Listed {
    type Item = Value;
    type IntoIter = std::iter::Map<std::vec::IntoIter<Box<str>>, fn(Box<str>) -> Value>;

    fn into_iter(self) -> Self::IntoIter {
        // It was written from a value.
        self.0.into_iter().map(|text| serde_json::from_str(&text).unwrap_or_default())
    }
}

/// How much of one namespace's objects a list may hold. Of what an event brings the sink decides.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// The field that counts, and is left out of objects beyond.
    pub field: &'static str,
    /// Bytes of these fields, as JSON.
    pub most: usize,
    /// What each object counts beside it. Objects beyond one and a half times `most` are left out; at 0 none ever is.
    pub each: usize,
}

/// A list that is being read.
#[derive(Debug, Default)]
pub(super) struct Listing {
    items: Listed,
    rooms: Rooms,
    /// How many objects were left out.
    pub(super) left_out: usize,
}

impl Listing {
    /// Adds an object, as far as its namespace has room.
    pub(super) fn push(&mut self, mut object: Value, room: Option<Room>) {
        if let Some(Room { field, most, each }) = room {
            let bytes = object.get(field).map_or(0, |value| value.to_string().len());
            let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            match self.rooms.take(namespace, most, bytes + each, each) {
                Fit::Whole => {}
                Fit::Nothing if each > 0 => {
                    self.left_out += 1;
                    return;
                }
                Fit::Cut | Fit::Nothing => {
                    object.as_object_mut().map(|fields| fields.remove(field));
                }
            }
        }
        self.items.0.push(object.to_string().into());
    }

    /// How many objects it has.
    pub(super) fn len(&self) -> usize {
        self.items.0.len()
    }

    /// All of it.
    pub(super) fn done(self) -> Listed {
        self.items
    }
}

//! A change that loosens a policy waits for a second person.

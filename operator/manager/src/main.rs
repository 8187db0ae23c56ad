//! placet-operator
fn main() {}

//! placet-gate

//! placet-evidence

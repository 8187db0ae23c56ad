//! placet-api

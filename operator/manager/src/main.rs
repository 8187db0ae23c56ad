//! The operator's process.

fn main() {
    placet_operator::infra::client::install_crypto_provider();
}

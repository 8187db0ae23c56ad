//! Signing with a person's SSH key.
//!
//! `ssh-keygen -Y sign` does it: it knows private keys with passphrases, ssh-agent, FIDO and PKCS#11, it is on the
//! machine of everybody who has such a key, and no private key ever enters this process.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use placet_api::scalar::Nonce;
use placet_gate::signed::{EnvelopeError, MAX_ENVELOPE, Payload, pae, seal, unarmor};

/// Signs the bytes of a payload, in the SSH namespace of its type, and gives the envelope. `key` is a private key file, or a public key whose private part is in
/// ssh-agent.
///
/// # Errors
/// ssh-keygen is missing or did not sign, or its signature would not be accepted (the type of the key, the size).
pub fn sign<P: Payload>(key: &Path, payload: &[u8]) -> anyhow::Result<String> {
    sign_by::<P>(Command::new("ssh-keygen"), key, payload)
}

/// A number used once: 16 bytes from the system's random source.
///
/// # Errors
/// The system has no randomness.
pub fn nonce() -> anyhow::Result<Nonce> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("wanted 16 random bytes from the system")?;
    Ok(Nonce::new(hex::encode(bytes))?)
}

/// [`sign`] with this command in the place of `ssh-keygen`.
pub fn sign_by<P: Payload>(mut keygen: Command, key: &Path, payload: &[u8]) -> anyhow::Result<String> {
    let message = pae(P::TYPE, payload);
    // Before anybody types a passphrase or touches a key. What is sent also fits into a pipe, so that writing never waits.
    if message.len() > MAX_ENVELOPE {
        return Err(EnvelopeError::TooLarge { found: message.len() }.into());
    }
    // Requests to touch a FIDO key go to a terminal on stderr, or else to a window.
    let terminal = std::io::stderr().is_terminal();
    keygen.args(["-q", "-Y", "sign", "-n", P::NAMESPACE, "-f"]).arg(key);
    keygen.stdin(Stdio::piped()).stdout(Stdio::piped());
    keygen.stderr(if terminal { Stdio::inherit() } else { Stdio::piped() });
    let mut child = keygen.spawn().map_err(|e| match e.kind() {
        ErrorKind::NotFound => anyhow::anyhow!(
            "wanted ssh-keygen to sign with, found none in PATH; install OpenSSH's client tools (Debian: openssh-client)"
        ),
        _ => anyhow::Error::new(e).context("ssh-keygen cannot be started"),
    })?;
    // Its answer to a key that it cannot load is its exit, perhaps before it has read anything.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&message));
    let output = child.wait_with_output().context("ssh-keygen")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).take(5).collect();
        let said = if said.is_empty() { output.status.to_string() } else { said.join("; ") };
        bail!(
            "{}: wanted a private key, or a public key (.pub) whose private key is in ssh-agent; ssh-keygen did not sign: {said}\nA key with a passphrase needs a terminal to ask on, or ssh-agent: ssh-add {}",
            key.display(),
            key.display()
        );
    }
    written.context("ssh-keygen did not read all that it was to sign")?;
    let armored = String::from_utf8(output.stdout).context("ssh-keygen: wanted a signature in text")?;
    let sealed = unarmor(&armored).and_then(|blob| seal::<P>(payload, &blob));
    sealed.with_context(|| format!("{}: it signed, but its signature would not count", key.display()))
}

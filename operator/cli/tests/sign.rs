//! Signing with the real `ssh-keygen` and `ssh-agent`, and what of it counts. Without them these tests fail: on Debian
//! they are in the package openssh-client.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: a failure is a failed test")]

#[path = "../src/sign/mod.rs"]
mod sign;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use placet_gate::signed::{
    ApprovalPayload, EnvelopeError, KeyError, MAX_ENVELOPE, Payload, RiskAcceptancePayload, SignerKey, pae,
    seal, unarmor, verify_envelope,
};
use serde_json::{Value, json};
use tempfile::TempDir;

fn payload() -> Vec<u8> {
    let payload = json!({
        "answers": null, "cluster": "prod-eu", "comment": null, "covers": "Content", "decision": "Approve",
        "digest": format!("sha256:{}", "c0de".repeat(16)), "expiresAt": null, "issuedAt": "2026-11-20T12:00:00Z",
        "kind": "ModelRelease", "name": "m-2", "namespace": "lending", "nonce": sign::nonce().unwrap(),
        "role": "risk-officer",
    });
    ApprovalPayload::from_bytes(payload.to_string().as_bytes()).unwrap().to_bytes().unwrap()
}

fn acceptance() -> Vec<u8> {
    let payload = json!({
        "assessment": "impact", "cluster": "prod-eu", "conditions": null, "expiresAt": "2027-01-01T00:00:00Z",
        "issuedAt": "2026-11-20T12:00:00Z", "kind": "RiskAcceptance", "level": "High", "name": "r1-frank",
        "namespace": "lending", "nonce": sign::nonce().unwrap(), "rationale": "Reviewed by a person",
        "risks": [{"digest": format!("sha256:{}", "c0de".repeat(16)), "id": "R1"}], "role": "executive",
    });
    RiskAcceptancePayload::from_bytes(payload.to_string().as_bytes()).unwrap().to_bytes().unwrap()
}

/// Runs a tool of OpenSSH with these bytes on its standard input.
fn openssh(mut command: Command, input: &[u8]) -> Output {
    use std::io::Write as _;
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{name}: {e}; install openssh-client"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// Runs `ssh-keygen`, which must succeed.
fn keygen(dir: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("ssh-keygen");
    command.args(args).current_dir(dir);
    let output = openssh(command, input);
    assert!(output.status.success(), "ssh-keygen {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Makes a key pair for this test.
fn key(dir: &Path, name: &str, passphrase: &str, kind: &[&str]) -> PathBuf {
    keygen(dir, &[&["-q", "-N", passphrase, "-C", "made for a test", "-f", name], kind].concat(), b"");
    dir.join(name)
}

fn public(key: &Path) -> String {
    let mut path = key.as_os_str().to_owned();
    path.push(".pub");
    #[expect(clippy::disallowed_methods, reason = "a test reads the file that it made")]
    std::fs::read_to_string(path).unwrap()
}

fn fingerprint(key: &Path) -> String {
    SignerKey::parse(public(key).trim_end()).unwrap().fingerprint()
}

/// An ssh-agent that ends with the test.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    #[expect(clippy::disallowed_methods, reason = "a test waits")]
    fn start(dir: &Path) -> Self {
        let socket = dir.join("agent");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap_or_else(|e| panic!("ssh-agent: {e}; install openssh-client"));
        for _ in 0..200 {
            if socket.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(socket.exists(), "ssh-agent did not open {}", socket.display());
        Self { child, socket }
    }

    /// A command that knows this agent.
    fn knows(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SSH_AUTH_SOCK", &self.socket);
        command
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It ended by itself: nothing is left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `ssh-keygen` without a terminal and without an agent.
fn alone() -> Command {
    let mut command = Command::new("setsid");
    command
        .args(["--wait", "ssh-keygen"])
        .env_remove("SSH_AUTH_SOCK")
        .env_remove("DISPLAY")
        .env_remove("SSH_ASKPASS");
    command
}

#[test]
fn every_type_of_key_that_counts_signs() {
    let dir = TempDir::new().unwrap();
    for (name, kind) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
    ] {
        let key = key(dir.path(), name, "", kind);
        let payload = payload();
        let envelope = sign::sign::<ApprovalPayload>(&key, &payload).unwrap();
        let found = verify_envelope::<ApprovalPayload>(envelope.as_bytes()).unwrap();
        assert_eq!(found.payload.to_bytes().unwrap(), payload);
        let shown = String::from_utf8(keygen(dir.path(), &["-l", "-f", name], b"")).unwrap();
        assert!(shown.contains(&format!(" {} ", found.fingerprint)), "{shown}: {}", found.fingerprint);
        assert!(placet_api::scalar::Envelope::new(envelope).is_ok());
        assert!(placet_api::scalar::SshPublicKey::new(public(&key).trim_end()).is_ok());
    }
}

#[test]
fn what_is_signed_here_verifies_with_ssh_keygen_and_the_other_way_round() {
    both_ways::<ApprovalPayload>(&payload(), &["git", "file", RiskAcceptancePayload::NAMESPACE]);
    both_ways::<RiskAcceptancePayload>(&acceptance(), &["git", "file", ApprovalPayload::NAMESPACE]);
}

fn both_ways<P: Payload>(payload: &[u8], other_namespaces: &[&str]) {
    let dir = TempDir::new().unwrap();
    let key = key(dir.path(), "k", "", &["-t", "ecdsa"]);
    let message = pae(P::TYPE, payload);
    // Ours, verified by OpenSSH: the lines that the envelope leaves out are put back.
    let envelope = sign::sign::<P>(&key, payload).unwrap();
    let envelope: Value = serde_json::from_str(&envelope).unwrap();
    let sig = envelope["signatures"][0]["sig"].as_str().unwrap();
    let lines: Vec<&str> = sig.as_bytes().chunks(70).map(|l| std::str::from_utf8(l).unwrap()).collect();
    let armored =
        format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"));
    #[expect(clippy::disallowed_methods, reason = "a test writes the files that it is about")]
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("sig", &armored);
    write("allowed", &format!("erin {}", public(&key)));
    let verify = ["-Y", "verify", "-f", "allowed", "-I", "erin", "-n", P::NAMESPACE, "-s", "sig"];
    keygen(dir.path(), &verify, &message);
    // Theirs, made by hand, verified by us; with either hash.
    for hash in ["hashalg=sha256", "hashalg=sha512"] {
        let theirs = keygen(dir.path(), &["-Y", "sign", "-n", P::NAMESPACE, "-O", hash, "-f", "k"], &message);
        let blob = unarmor(std::str::from_utf8(&theirs).unwrap()).unwrap();
        let sealed = seal::<P>(payload, &blob).unwrap();
        assert!(verify_envelope::<P>(sealed.as_bytes()).is_ok());
    }
    for namespace in other_namespaces {
        let theirs = keygen(dir.path(), &["-Y", "sign", "-n", namespace, "-f", "k"], &message);
        let blob = unarmor(std::str::from_utf8(&theirs).unwrap()).unwrap();
        let refused = seal::<P>(payload, &blob);
        assert_eq!(
            refused,
            Err(EnvelopeError::Namespace { wanted: P::NAMESPACE, found: (*namespace).into() })
        );
    }
}

#[test]
fn keys_of_other_types_sign_but_do_not_count() {
    let dir = TempDir::new().unwrap();
    let refused = |key: &Path| {
        let e = sign::sign::<ApprovalPayload>(key, &payload()).unwrap_err();
        match e.downcast_ref::<EnvelopeError>() {
            Some(EnvelopeError::Key(KeyError::Type(found))) => found.clone(),
            other => panic!("{e:#}: {other:?}"),
        }
    };
    assert_eq!(refused(&key(dir.path(), "rsa", "", &["-t", "rsa", "-b", "3072"])), "ssh-rsa");
    assert_eq!(refused(&key(dir.path(), "p521", "", &["-t", "ecdsa", "-b", "521"])), "ecdsa-sha2-nistp521");
    key(dir.path(), "ca", "", &["-t", "ed25519"]);
    key(dir.path(), "k", "", &["-t", "ed25519"]);
    keygen(dir.path(), &["-q", "-s", "ca", "-I", "erin", "-n", "erin", "k.pub"], b"");
    assert_eq!(refused(&dir.path().join("k-cert.pub")), "a certificate");
}

#[expect(clippy::disallowed_methods, reason = "a test writes the files that it is about")]
#[test]
fn a_key_in_the_agent_signs_without_its_file() {
    let dir = TempDir::new().unwrap();
    let agent = Agent::start(dir.path());
    // A key with a passphrase, which the agent is told once.
    let key = key(dir.path(), "k", "correct horse", &["-t", "ed25519"]);
    let askpass = dir.path().join("askpass");
    std::fs::write(&askpass, "#!/bin/sh\necho 'correct horse'\n").unwrap();
    std::fs::set_permissions(&askpass, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut add = agent.knows("ssh-add");
    add.arg("-q").arg(&key).env("SSH_ASKPASS", &askpass).env("SSH_ASKPASS_REQUIRE", "force");
    let output = openssh(add, b"");
    assert!(output.status.success(), "ssh-add: {}", String::from_utf8_lossy(&output.stderr));
    let wanted = fingerprint(&key);
    std::fs::remove_file(&key).unwrap();
    let public = dir.path().join("k.pub");
    let envelope = sign::sign_by::<ApprovalPayload>(agent.knows("ssh-keygen"), &public, &payload()).unwrap();
    assert_eq!(verify_envelope::<ApprovalPayload>(envelope.as_bytes()).unwrap().fingerprint, wanted);
    let envelope =
        sign::sign_by::<RiskAcceptancePayload>(agent.knows("ssh-keygen"), &public, &acceptance()).unwrap();
    assert_eq!(verify_envelope::<RiskAcceptancePayload>(envelope.as_bytes()).unwrap().fingerprint, wanted);
    // Without the agent, the public key alone signs nothing.
    let e = sign::sign_by::<ApprovalPayload>(alone(), &public, &payload()).unwrap_err().to_string();
    assert!(e.contains("No private key found") && e.contains("ssh-add"), "{e}");
}

#[test]
fn what_cannot_sign_says_what_to_do() {
    let dir = TempDir::new().unwrap();
    let fails = |command: Command, key: &Path| {
        format!("{:#}", sign::sign_by::<ApprovalPayload>(command, key, &payload()).unwrap_err())
    };
    let good = key(dir.path(), "good", "", &["-t", "ed25519"]);
    let e = fails(Command::new(dir.path().join("no-such-program")), &good);
    assert!(e.contains("wanted ssh-keygen") && e.contains("openssh-client"), "{e}");
    let locked = key(dir.path(), "locked", "correct horse", &["-t", "ed25519"]);
    let e = fails(alone(), &locked);
    assert!(e.contains("passphrase") && e.contains("ssh-agent: ssh-add"), "{e}");
    let e = fails(alone(), &dir.path().join("missing"));
    assert!(e.contains("missing: wanted a private key") && e.contains("No such file"), "{e}");
    let e = fails(alone(), &dir.path().join("good.pub.not"));
    assert!(e.contains("did not sign"), "{e}");
    // A program that is no ssh-keygen: it may be gone before it was given anything.
    let e = fails(Command::new("true"), &good);
    assert!(e.contains("would not count") || e.contains("did not read all that it was to sign"), "{e}");
    let large = vec![b'x'; MAX_ENVELOPE];
    let e = sign::sign_by::<ApprovalPayload>(Command::new("false"), &good, &large).unwrap_err();
    assert!(matches!(e.downcast_ref(), Some(EnvelopeError::TooLarge { .. })), "{e}");
}

#[test]
fn no_two_nonces_are_alike() {
    let nonces: std::collections::BTreeSet<_> = (0..1000).map(|_| sign::nonce().unwrap()).collect();
    assert_eq!(nonces.len(), 1000);
}

//! What people signed with the real `ssh-keygen`, judged and made without a cluster.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]
#![expect(clippy::disallowed_methods, reason = "tests read and write files of their own")]

mod common;
#[path = "../src/sign/mod.rs"]
mod sign;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Ran, placet, tests};
use placet_gate::signed::{
    ApprovalPayload, AuthorPayload, Payload, Place, RiskAcceptancePayload, compare_author, payload_of,
    verify_envelope,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const CLUSTER: &str = "prod-eu";
const ROBOT: &str = "mr/scoring-2=system:serviceaccount:ci:robot";

fn key(dir: &Path, name: &str) -> PathBuf {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "made for a test", "-f", name])
        .current_dir(dir)
        .status();
    assert!(made.unwrap().success(), "ssh-keygen; on Debian it is in openssh-client");
    dir.join(name)
}

fn signer(user: &str, role: &str, key: &Path) -> Value {
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "TrustedSigner", "metadata": {"name": user},
        "spec": {"key": public.trim(), "user": user, "roles": [role]},
    })
}

fn sealed<P: Payload>(key: &Path, payload: &Value) -> String {
    let payload = P::from_bytes(payload.to_string().as_bytes()).unwrap();
    sign::sign::<P>(key, &payload.to_bytes().unwrap()).unwrap()
}

fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(tests().join("fixtures/high").join(file)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

/// Puts a signature into the spec of an object.
fn put<P: Payload>(key: &Path, kind: placet_api::Kind, object: &mut Value) {
    object["spec"]["signed"] =
        json!({"issuedAt": "2026-11-20T11:00:00Z", "nonce": sign::nonce().unwrap().as_str()});
    let name = object["metadata"]["name"].as_str().unwrap();
    let place = Place { cluster: CLUSTER, namespace: "lending", kind, name };
    let payload: P = payload_of(&object["spec"], place).unwrap();
    let envelope = sign::sign::<P>(key, &payload.to_bytes().unwrap()).unwrap();
    object["spec"]["signed"]["envelope"] = envelope.into();
}

/// The fixtures, where a robot applied the release that dana wrote, the approval that erin signed and frank's acceptance of
/// a risk.
struct Signed {
    dir: TempDir,
    release: Value,
    approvals: Vec<Value>,
    signers: Vec<Value>,
}

impl Signed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [erin, dana, frank] = ["erin", "dana", "frank"].map(|who| key(dir.path(), who));
        let mut approvals = documents("approvals.yaml");
        let approval = approvals.iter_mut().find(|a| a["metadata"]["name"] == "risk-erin").unwrap();
        put::<ApprovalPayload>(&erin, placet_api::Kind::Approval, approval);
        let (issued, nonce) = ("2026-11-20T11:00:00Z", sign::nonce().unwrap());
        let subject = approval["spec"]["subject"].clone();
        let acceptance = approvals.iter_mut().find(|a| a["kind"] == "RiskAcceptance").unwrap();
        put::<RiskAcceptancePayload>(&frank, placet_api::Kind::RiskAcceptance, acceptance);
        let mut release = documents("release.yaml").remove(0);
        let payload = json!({
            "cluster": CLUSTER, "digest": subject["digest"], "issuedAt": issued, "kind": "ModelRelease",
            "name": "scoring-2", "namespace": "lending", "nonce": nonce,
        });
        release["metadata"]["annotations"] =
            json!({placet_api::keys::AUTHOR_SIGNATURE: sealed::<AuthorPayload>(&dana, &payload)});
        let signers = vec![
            signer("erin", "risk-officer", &erin),
            signer("dana", "model-owner", &dana),
            signer("frank", "executive", &frank),
        ];
        Self { dir, release, approvals, signers }
    }

    fn check(&self, more: &[&str]) -> Ran {
        self.check_as("holders.yaml", more)
    }

    /// Checks them, with these holders of roles.
    fn check_as(&self, holders: &str, more: &[&str]) -> Ran {
        let file = self.dir.path().join("objects.json");
        let items: Vec<&Value> =
            [&self.release].into_iter().chain(&self.approvals).chain(&self.signers).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        std::fs::write(&file, list.to_string()).unwrap();
        let file = file.display().to_string();
        let mut args = vec!["check", "--now", "2026-11-20T12:00:00Z", "--roles", holders, "--as", ROBOT];
        for author in [
            "AISystem/scoring=olga",
            "apv/evaluation-erin=erin",
            "apv/owner-bob=bob",
            "apv/risk-erin=system:serviceaccount:ci:robot",
            "apv/executive-frank=frank",
            "ra/r1-frank=system:serviceaccount:ci:robot",
            "platform",
        ] {
            args.extend(["--as", author]);
        }
        for one in [
            "high/policy.yaml",
            "high/roles.yaml",
            "high/system.yaml",
            "high/assessment.yaml",
            "high/reports.yaml",
        ] {
            args.extend(["-f", one]);
        }
        args.extend(["-f", &file]);
        args.extend(more);
        placet(&args)
    }
}

#[test]
fn what_robots_apply_is_judged_by_who_signed_it() {
    let mut signed = Signed::new();
    let here = ["--cluster-name", CLUSTER];
    let ran = signed.check(&here);
    assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);

    let elsewhere = signed.check(&["--cluster-name", "staging"]);
    assert_eq!(elsewhere.code, 1);
    for wanted in ["what was signed is not what it says", "the signature of its author"] {
        let found = elsewhere.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
    let nowhere = signed.check(&[]);
    assert!(nowhere.code == 1 && nowhere.err.contains("signatures are for no cluster"), "{}", nowhere.err);

    // The role is asked of whoever signed, whatever the TrustedSigner says.
    let holders = signed.dir.path().join("holders.yaml");
    std::fs::write(&holders, "{risk-officer: [vera], model-owner: [bob], executive: [frank]}").unwrap();
    let ran = signed.check_as(&holders.display().to_string(), &here);
    assert!(ran.code == 1 && ran.out.contains("does not hold the role risk-officer"), "{}", ran.out);

    // Without her TrustedSigner.
    let erin = signed.signers.remove(0);
    let ran = signed.check(&here);
    assert!(ran.code == 1 && ran.out.contains("no TrustedSigner has its key"), "{}", ran.out);
    signed.signers.insert(0, erin);
    signed.approvals.iter_mut().find(|a| a["metadata"]["name"] == "risk-erin").unwrap()["spec"]["comment"] =
        "typed afterwards".into();
    assert_eq!(signed.check(&here).code, 1);
}

#[test]
fn a_risk_that_somebody_signed_for_is_judged_by_their_signature() {
    let mut signed = Signed::new();
    let here = ["--cluster-name", CLUSTER];
    assert_eq!(signed.check(&here).code, 0);
    let says = |signed: &Signed, wanted: &str| {
        let ran = signed.check(&here);
        let found = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ran.code == 1 && found.contains(wanted), "wanted {wanted}: {found}\n{}", ran.err);
    };
    // One that erin, who is trusted for another role, signs in the place of frank.
    let at = signed.approvals.iter().position(|a| a["kind"] == "RiskAcceptance").unwrap();
    let good = signed.approvals[at].clone();
    let kind = placet_api::Kind::RiskAcceptance;
    put::<RiskAcceptancePayload>(&signed.dir.path().join("erin"), kind, &mut signed.approvals[at]);
    says(&signed, "trusted for risk-officer, not for executive");
    // What somebody changes afterwards; its envelope in an approval, and an approval's in it.
    for (field, value) in [
        ("level", json!("Medium")),
        ("rationale", json!("typed afterwards")),
        ("expiresAt", json!("2028-01-01T00:00:00Z")),
        ("conditions", json!(["none"])),
    ] {
        signed.approvals[at] = good.clone();
        signed.approvals[at]["spec"][field] = value;
        says(&signed, "what was signed is not what it says");
    }
    signed.approvals[at] = good.clone();
    signed.approvals[at]["metadata"]["name"] = "r1-another".into();
    let ran =
        signed.check(&[here.as_slice(), &["--as", "ra/r1-another=system:serviceaccount:ci:robot"]].concat());
    assert!(ran.code == 1 && ran.out.contains("r1-another"), "{}", ran.out);
    signed.approvals[at] = good.clone();
    let approval = signed.approvals.iter().find(|a| a["metadata"]["name"] == "risk-erin").unwrap();
    let envelope = approval["spec"]["signed"]["envelope"].clone();
    signed.approvals[at]["spec"]["signed"]["envelope"] = envelope;
    says(&signed, "its envelope does not verify");
    signed.approvals[at] = good;
    signed.signers.retain(|s| s["metadata"]["name"] != "frank");
    says(&signed, "no TrustedSigner has its key");
}

#[test]
fn a_release_is_signed_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let dana = key(dir.path(), "dana");
    let key = dana.display().to_string();
    let args = ["sign", "high/release.yaml", "--sign-with", &key, "--cluster-name", CLUSTER, "--yes"];
    let ran = placet(&args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("You sign that you wrote this"), "{}", ran.err);
    let printed: Value = serde_saphyr::from_str(&ran.out).unwrap();
    let written = documents("release.yaml").remove(0);
    assert_eq!(printed["spec"], written["spec"]);
    let envelope = printed["metadata"]["annotations"][placet_api::keys::AUTHOR_SIGNATURE].as_str().unwrap();
    let verified = verify_envelope::<AuthorPayload>(envelope.as_bytes()).unwrap();
    let kind = placet_api::Kind::ModelRelease;
    let digest = placet_gate::digest::content(kind, Some("lending"), "scoring-2", &written["spec"]).unwrap();
    let place = Place { cluster: CLUSTER, namespace: "lending", kind, name: "scoring-2" };
    assert_eq!(compare_author(&verified.payload, "scoring-2", &digest, place), Ok(()));

    // A system and an assessment likewise: whoever wrote them neither approves nor accepts.
    for (file, kind, name) in [
        ("system.yaml", placet_api::Kind::AISystem, "scoring"),
        ("assessment.yaml", placet_api::Kind::ImpactAssessment, "impact"),
    ] {
        let path = format!("high/{file}");
        let ran = placet(&["sign", &path, "--sign-with", &key, "--cluster-name", CLUSTER, "--yes"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let printed: Value = serde_saphyr::from_str(&ran.out).unwrap();
        let written = documents(file).remove(0);
        assert_eq!((&printed["spec"], &printed["kind"]), (&written["spec"], &json!(kind.as_str())));
        let envelope =
            printed["metadata"]["annotations"][placet_api::keys::AUTHOR_SIGNATURE].as_str().unwrap();
        let verified = verify_envelope::<AuthorPayload>(envelope.as_bytes()).unwrap();
        let digest = placet_gate::digest::content(kind, Some("lending"), name, &written["spec"]).unwrap();
        let place = Place { cluster: CLUSTER, namespace: "lending", kind, name };
        assert_eq!(compare_author(&verified.payload, name, &digest, place), Ok(()));
        assert!(ran.err.contains(&format!("{kind} {name} in namespace lending")), "{}", ran.err);
        let other = Place { kind: placet_api::Kind::ModelRelease, ..place };
        assert!(compare_author(&verified.payload, name, &digest, other).is_err(), "it is of one kind");
    }

    let several =
        placet(&["sign", "high/reports.yaml", "--sign-with", &key, "--cluster-name", CLUSTER, "--yes"]);
    assert!(several.code == 2 && several.err.contains("wanted one ModelRelease"), "{}", several.err);
    // Without a cluster at hand it has to be named.
    let unnamed = placet(&["sign", "high/release.yaml", "--sign-with", &key, "--yes"]);
    assert_eq!((unnamed.code, unnamed.out.as_str()), (2, ""), "{}", unnamed.err);
}

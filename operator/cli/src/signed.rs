//! Objects that carry their author's signature, for decisions and releases that travel through Git: what is signed, and
//! for which cluster. Signing itself is in [`crate::sign`].

use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use placet_api::Kind;
use placet_api::keys::{AUTHOR_SIGNATURE, GROUP, RECEIPT, STAMP, VERSION};
use placet_api::trustedsigner::TrustedSignerSpec;
use placet_gate::signed::{
    ApprovalPayload, AuthorPayload, Payload, Place, RiskAcceptancePayload, compare, find_signer, payload_of,
    verify_envelope,
};
use serde_json::{Value, json};

use crate::args::{Global, SignArgs, Signing, WriteOutput, YamlOrJson};
use crate::cluster::Cluster;
use crate::files::{self, Loaded};
use crate::made::{Made, Writing};
use crate::text::Page;
use crate::{sign, sys, target, text, yaml};

/// The cluster that is signed for: as given, or else the uid of its kube-system namespace.
///
/// # Errors
/// It is not given and cannot be read.
pub fn cluster_name(cluster: &Cluster, given: Option<&str>) -> anyhow::Result<String> {
    if let Some(name) = given {
        return Ok(name.to_owned());
    }
    let wanted = "wanted the cluster that you sign for: give --cluster-name NAME (the chart's value clusterName, or the uid \
                  of the namespace kube-system)";
    let namespace = cluster.get_path("/api/v1/namespaces/kube-system").context(wanted)?.context(wanted)?;
    let uid = namespace.pointer("/metadata/uid").and_then(Value::as_str);
    Ok(uid.filter(|uid| !uid.is_empty()).context(wanted)?.to_owned())
}

/// Signs a decision with a key, once somebody said yes, and prints it, for Git.
///
/// # Errors
/// Nobody said yes, the key does not sign, or what is signed would be too large.
pub fn write<P: Payload>(
    cluster: &Cluster,
    (key, signing): (&Path, &Signing),
    made: Made,
    how: &Writing<'_>,
    now: Timestamp,
) -> anyhow::Result<u8> {
    let for_cluster = cluster_name(cluster, signing.cluster_name.as_deref())?;
    sys::tell(&format!(
        "It is signed for the cluster {for_cluster}, namespace {}, and counts for the user of the TrustedSigner that has \
         your key.",
        cluster.namespace
    ));
    sys::confirm(how.question, how.yes)?;
    let made = sealed::<P>(key, (&for_cluster, &cluster.namespace), made, now)?;
    let object = made.whole(cluster);
    let json = how.output == WriteOutput::Json;
    sys::print(&if json { text::json(&object)? } else { yaml::document(&object) })?;
    Ok(0)
}

/// The decision with its signature, for a cluster and a namespace. Decisions are immutable: another signature is another
/// object, under a name of its own, so that Git never changes one.
fn sealed<P: Payload>(
    key: &Path,
    (cluster, namespace): (&str, &str),
    made: Made,
    now: Timestamp,
) -> anyhow::Result<Made> {
    let Made { kind, name, mut spec } = made;
    let nonce = sign::nonce()?;
    let name = text::with_hash(&name, &nonce);
    spec["signed"] = json!({"issuedAt": text::seconds(now), "nonce": nonce.as_str()});
    let place = Place { cluster, namespace, kind, name: &name };
    let payload: P = payload_of(&spec, place)?;
    compare(&payload, &spec, place)?;
    spec["signed"]["envelope"] = sign::sign::<P>(key, &payload.to_bytes()?)?.into();
    Ok(Made { kind, name, spec })
}

/// The user for whom a decision that carries a signature would count, by the TrustedSigner objects at hand.
pub fn signer(object: &Loaded, all: &[Loaded]) -> Option<String> {
    fn fingerprint<P: Payload>(envelope: &str) -> Option<String> {
        Some(verify_envelope::<P>(envelope.as_bytes()).ok()?.fingerprint)
    }
    let envelope = object.value.pointer("/spec/signed/envelope")?.as_str()?;
    let fingerprint = match object.kind {
        Kind::Approval => fingerprint::<ApprovalPayload>(envelope),
        Kind::RiskAcceptance => fingerprint::<RiskAcceptancePayload>(envelope),
        _ => None,
    }?;
    let signers: Vec<(&str, TrustedSignerSpec)> = all
        .iter()
        .filter(|o| o.kind == Kind::TrustedSigner)
        .filter_map(|o| Some((o.name.as_str(), serde_json::from_value(o.value.get("spec")?.clone()).ok()?)))
        .collect();
    let (_, spec) = find_signer(&fingerprint, signers.iter().map(|(name, spec)| (*name, spec))).ok()?;
    Some(spec.user.to_string())
}

/// Kinds that an author signs.
const AUTHORED: [Kind; 3] = [Kind::ModelRelease, Kind::AISystem, Kind::ImpactAssessment];

/// `placet sign`: prints a release, a system or an assessment with its author's signature.
pub fn run(global: &Global, args: &SignArgs) -> anyhow::Result<u8> {
    let path = Path::new(&args.target);
    let is_file = args.target == "-" || path.exists();
    if !is_file && path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") {
        bail!(
            "{}: wanted a file with one ModelRelease, AISystem or ImpactAssessment, or mr/NAME, ais/NAME or ia/NAME on the \
             cluster, found no such file",
            args.target
        );
    }
    let (kind, namespace, name, object, cluster) = if is_file {
        let mut input = files::load(&[path.to_owned()], global.namespace.as_deref())?;
        let found = input.objects.len();
        let Some(one) = input.objects.pop().filter(|o| found == 1 && o.kind.authored()) else {
            bail!(
                "{}: wanted one ModelRelease, AISystem or ImpactAssessment and nothing else, found {found} objects",
                args.target
            );
        };
        let cluster = match &args.cluster_name {
            Some(name) => name.clone(),
            None => cluster_name(&Cluster::connect(global)?, None)?,
        };
        (one.kind, one.namespace.unwrap_or_default(), one.name, one.value, cluster)
    } else {
        let (kind, name) = target::ours(&args.target, &AUTHORED)
            .map_err(|e| e.context(format!("{}: no such file, and no mr/, ais/ or ia/NAME", args.target)))?;
        let connection = Cluster::connect(global)?;
        let object = connection.get(kind, &name)?;
        let cluster = cluster_name(&connection, args.cluster_name.as_deref())?;
        (kind, connection.namespace.clone(), name, object, cluster)
    };
    let spec =
        object.get("spec").cloned().with_context(|| format!("the {kind}: wanted a spec, found none"))?;
    let digest = placet_gate::digest::content(kind, Some(&namespace), &name, &spec)?;
    let shown = shown(kind, (&namespace, &name, &cluster), &spec, &digest);
    sys::tell(shown.text());
    sys::confirm("Sign it?", args.yes)?;
    let payload = json!({
        "cluster": cluster, "digest": digest, "issuedAt": text::seconds(sys::now()), "kind": kind.as_str(),
        "name": name, "namespace": namespace, "nonce": sign::nonce()?.as_str(),
    });
    let payload = AuthorPayload::from_bytes(payload.to_string().as_bytes())?;
    let envelope = sign::sign::<AuthorPayload>(&args.sign_with, &payload.to_bytes()?)?;
    let mut metadata = json!({"name": name, "namespace": namespace});
    if let Some(labels) = object.pointer("/metadata/labels") {
        metadata["labels"] = labels.clone();
    }
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    let mut annotations = annotations.cloned().unwrap_or_default();
    // What others write there is not the author's to apply.
    for key in [STAMP, RECEIPT, "kubectl.kubernetes.io/last-applied-configuration"] {
        annotations.remove(key);
    }
    annotations.insert(AUTHOR_SIGNATURE.to_owned(), envelope.into());
    metadata["annotations"] = annotations.into();
    let signed = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind.as_str(), "metadata": metadata, "spec": spec,
    });
    sys::print(&match args.output {
        YamlOrJson::Yaml => yaml::document(&signed),
        YamlOrJson::Json => text::json(&signed)?,
    })?;
    Ok(0)
}

/// What an author signs, for them to read.
fn shown(kind: Kind, (namespace, name, cluster): (&str, &str, &str), spec: &Value, digest: &str) -> Page {
    let mut shown = Page::default();
    let field = |at: &str| spec.pointer(at).and_then(Value::as_str).unwrap_or("?");
    let number = |at: &str| spec.pointer(at).and_then(Value::as_array).map_or(0, Vec::len);
    shown.add(0, &format!("{kind} {name} in namespace {namespace} of the cluster {cluster}"));
    match kind {
        Kind::ModelRelease => {
            shown.add(2, &format!("system {}, version {}", field("/system"), field("/version")));
            for artifact in spec["artifacts"].as_array().into_iter().flatten() {
                let text = |key: &str| artifact[key].as_str().unwrap_or("?");
                shown.add(2, &format!("artefact {} ({}) {}", text("name"), text("role"), text("reference")));
                shown.add(4, text("digest"));
            }
        }
        Kind::AISystem => {
            shown.add(2, &format!("{}: {}", field("/title"), field("/purpose")));
            let triggers = spec.get("triggers").map(Value::to_string).unwrap_or_default();
            shown.add(2, &format!("triggers {triggers}"));
        }
        _ => {
            shown.add(2, &format!("of the system {}, assessed {}", field("/system"), field("/assessedAt")));
            shown.add(2, &format!("{} harms, {} risks", number("/harms"), number("/risks")));
        }
    }
    shown.add(2, &format!("Content digest {digest}"));
    shown.add(0, "You sign that you wrote this. An author neither approves it nor accepts its risks.");
    shown
}

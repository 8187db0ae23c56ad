//! What a pod or template would run: its images, and the digest of a pod's content.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Workload;
use crate::canonical::{Sorted, by_name, is_plain};
use crate::digest;

/// Which part of a pod names an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// A container.
    Container,
    /// An init container or sidecar.
    InitContainer,
    /// An ephemeral container, added to a running pod.
    EphemeralContainer,
    /// An image volume.
    Volume,
}

impl Part {
    /// Parts that are containers, and the fields of a pod spec that list them.
    const CONTAINERS: [(Part, &'static str); 3] = [
        (Part::InitContainer, "initContainers"),
        (Part::Container, "containers"),
        (Part::EphemeralContainer, "ephemeralContainers"),
    ];

    fn words(self) -> &'static str {
        match self {
            Part::Container => "container",
            Part::InitContainer => "init container",
            Part::EphemeralContainer => "ephemeral container",
            Part::Volume => "volume",
        }
    }
}

/// An image that a workload would run or mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUse {
    /// The part of the pod that names it.
    pub part: Part,
    /// Its place in its list.
    pub index: usize,
    /// Name of the container or volume.
    pub name: String,
    /// The image as written; empty where none is.
    pub image: String,
}

impl ImageUse {
    /// The field that names it, for example `spec.template.spec.containers[0].image`.
    pub fn field(&self, kind: Workload) -> String {
        let (list, rest) = match self.part {
            Part::Container => ("containers", "image"),
            Part::InitContainer => ("initContainers", "image"),
            Part::EphemeralContainer => ("ephemeralContainers", "image"),
            Part::Volume => ("volumes", "image.reference"),
        };
        format!("{}spec.{list}[{}].{rest}", kind.template_path(), self.index)
    }

    /// What it is, for example `container web`.
    pub fn item(&self) -> String {
        format!("{} {}", self.part.words(), self.name)
    }
}

/// A list of a pod spec; absent, null and not a list are empty ([`malformed`] tells).
fn list<'a>(spec: Option<&'a Value>, field: &str) -> &'a [Value] {
    spec.and_then(|s| s.get(field)).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Every image of a pod or template.
pub(super) fn images(template: &Value) -> Vec<ImageUse> {
    let spec = template.get("spec");
    let mut out = Vec::with_capacity(4);
    for (part, field) in Part::CONTAINERS {
        for (index, container) in list(spec, field).iter().enumerate() {
            out.push(ImageUse {
                part,
                index,
                name: text(container, "name").to_owned(),
                image: text(container, "image").to_owned(),
            });
        }
    }
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        if let Some(image) = volume.get("image").filter(|i| !i.is_null()) {
            out.push(ImageUse {
                part: Part::Volume,
                index,
                name: text(volume, "name").to_owned(),
                image: text(image, "reference").to_owned(),
            });
        }
    }
    out
}

/// Why a pod or template cannot be judged: it is not what the API server would have accepted.
pub(super) fn malformed(template: &Value) -> Option<String> {
    let Some(spec) = template.get("spec").filter(|s| s.is_object()) else {
        return Some("no pod spec".into());
    };
    for field in ["containers", "initContainers", "ephemeralContainers", "volumes"] {
        let fits = match spec.get(field) {
            None | Some(Value::Null) => field != "containers",
            Some(value) => value.as_array().is_some_and(|l| l.iter().all(Value::is_object)),
        };
        if !fits {
            return Some(format!("spec.{field} is not a list of objects"));
        }
    }
    list(Some(spec), "containers").is_empty().then(|| "spec.containers is empty".into())
}

/// Fields of a pod spec that its content leaves out: where and when a pod runs and with how much, which schedulers,
/// autoscalers and controllers decide pod by pod; how images are fetched that are named by their digest. All others
/// count, also those that this version has never heard of.
pub(super) const LEFT_OUT: [&str; 14] = [
    "affinity",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "resources",
    "schedulerName",
    "schedulingGates",
    "tolerations",
    "topologySpreadConstraints",
];

/// How the API server begins the name of the volume with a pod's token; the rest is drawn for each pod.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// Content of a pod, as it is written for its digest.
#[derive(Serialize)]
struct Content<'a> {
    release: &'a str,
    spec: Spec<'a>,
}

/// A pod spec without what is added per pod.
struct Spec<'a> {
    whole: &'a Value,
    /// Name of the pod; empty where it has none yet.
    pod: &'a str,
    /// Names of its token volumes, in their order.
    tokens: Vec<&'a str>,
}

impl<'a> Spec<'a> {
    fn new(pod: &'a Value) -> Self {
        let spec = pod.get("spec").unwrap_or(&Value::Null);
        let names = list(Some(spec), "volumes").iter().map(|v| text(v, "name"));
        Self {
            whole: spec,
            pod: pod.get("metadata").map_or("", |m| text(m, "name")),
            tokens: names.filter(|n| n.starts_with(TOKEN_VOLUME)).collect(),
        }
    }

    /// The name of a volume. That of a token volume is its place among them: whatever the volume holds and wherever it
    /// is mounted counts as for any other. No volume can have such a name itself.
    fn volume_name(&self, name: &'a str) -> Cow<'a, str> {
        match self.tokens.iter().position(|token| *token == name) {
            Some(place) => Cow::Owned(format!("{TOKEN_VOLUME}*{place}")),
            None => Cow::Borrowed(name),
        }
    }

    /// The name of a claim. A `StatefulSet` makes that of a claim template from the names of volume and pod.
    fn claim_name(&self, volume: &'a str, claim: &'a str) -> Cow<'a, str> {
        let of_pod = claim.strip_prefix(volume).and_then(|rest| rest.strip_prefix('-'));
        if of_pod == Some(self.pod) && !self.pod.is_empty() {
            Cow::Owned(format!("{volume}-*"))
        } else {
            Cow::Borrowed(claim)
        }
    }
}

impl Serialize for Spec<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(fields) = self.whole else { return Sorted(self.whole).serialize(serializer) };
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in by_name(fields) {
            if LEFT_OUT.contains(&name.as_str()) {
                continue;
            }
            match (name.as_str(), value) {
                ("containers" | "initContainers" | "ephemeralContainers", Value::Array(items)) => {
                    map.serialize_entry(name, &Each(items, |item| Container(self, item)))?;
                }
                ("volumes", Value::Array(items)) => {
                    map.serialize_entry(name, &Each(items, |item| Volume(self, item)))?;
                }
                _ => map.serialize_entry(name, &Sorted(value))?,
            }
        }
        map.end()
    }
}

/// A list, each item of which is written as something else.
struct Each<'a, F>(&'a [Value], F);

impl<'a, T: Serialize, F: Fn(&'a Value) -> T> Serialize for Each<'a, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// A container. Of its resources only claimed devices count: autoscalers set the rest pod by pod.
struct Container<'a>(&'a Spec<'a>, &'a Value);

impl Serialize for Container<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Container(spec, container) = *self;
        let Value::Object(fields) = container else { return Sorted(container).serialize(serializer) };
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in by_name(fields) {
            match (name.as_str(), value) {
                ("resources", value) => {
                    if let Some(claims) = value.get("claims") {
                        map.serialize_entry("resources", &BTreeMap::from([("claims", Sorted(claims))]))?;
                    }
                }
                ("volumeMounts", Value::Array(items)) => {
                    map.serialize_entry(name, &Each(items, |item| Mount(spec, item)))?;
                }
                _ => map.serialize_entry(name, &Sorted(value))?,
            }
        }
        map.end()
    }
}

/// A mount of a volume.
struct Mount<'a>(&'a Spec<'a>, &'a Value);

impl Serialize for Mount<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Mount(spec, mount) = *self;
        let Value::Object(fields) = mount else { return Sorted(mount).serialize(serializer) };
        serializer.collect_map(by_name(fields).into_iter().map(|(field, value)| match value {
            Value::String(name) if field == "name" => (field, Written::Text(spec.volume_name(name))),
            value => (field, Written::As(Sorted(value))),
        }))
    }
}

/// A volume.
struct Volume<'a>(&'a Spec<'a>, &'a Value);

impl Serialize for Volume<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Volume(spec, volume) = *self;
        let Value::Object(fields) = volume else { return Sorted(volume).serialize(serializer) };
        let of = text(volume, "name");
        serializer.collect_map(by_name(fields).into_iter().map(|(field, value)| match value {
            Value::String(name) if field == "name" => (field, Written::Text(spec.volume_name(name))),
            Value::Object(claim) if field == "persistentVolumeClaim" => {
                let claim = claim.iter().map(|(field, value)| match value {
                    Value::String(name) if field == "claimName" => {
                        (field, Written::Text(spec.claim_name(of, name)))
                    }
                    value => (field, Written::As(Sorted(value))),
                });
                (field, Written::Fields(claim.collect()))
            }
            value => (field, Written::As(Sorted(value))),
        }))
    }
}

/// A value as it is written.
#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    As(Sorted<'a>),
    Text(Cow<'a, str>),
    Fields(BTreeMap<&'a String, Written<'a>>),
}

/// Bytes that the content of a usual pod takes.
const USUAL: usize = 4096;

/// Pod-content digest (invariant 9): SHA-256 over `placet.dev/pod/v2\n` and the RFC 8785 JSON of the release label and
/// of the pod's spec without what is added per pod: the fields of [`LEFT_OUT`], of a container's resources all but
/// `claims`, the drawn part of a token volume's name, the pod's name in that of a claim. None: no canonical form.
pub(super) fn pod_content(release: Option<&str>, pod: &Value) -> Option<String> {
    let content = Content { release: release.unwrap_or_default(), spec: Spec::new(pod) };
    let mut bytes = Vec::with_capacity(USUAL);
    bytes.extend_from_slice(b"placet.dev/pod/v2\n");
    // The general writer of RFC 8785 takes most of the time of a judgement, and the plain one gives the same bytes for
    // all that the API server lets through here.
    if is_plain(content.spec.whole) {
        serde_json::to_writer(&mut bytes, &content).ok()?;
    } else {
        serde_json_canonicalizer::to_writer(&content, &mut bytes).ok()?;
    }
    Some(digest::of_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::canonical::tests::anything;

    proptest! {
        #[test]
        fn both_writers_give_the_same_digest(env in anything(), other in anything()) {
            let spec = json!({"other": other, "containers": [{"name": "a", "image": "i", "env": env}], "a": {"c": 1, "b": 2}});
            let pod = json!({"spec": spec});
            let mut bytes = b"placet.dev/pod/v2\n".to_vec();
            bytes.extend(serde_json_canonicalizer::to_vec(&json!({"release": "v1", "spec": spec})).unwrap());
            prop_assert_eq!(pod_content(Some("v1"), &pod), Some(digest::of_bytes(&bytes)));
        }

        #[test]
        fn whatever_a_pod_has_counts_but_for_what_is_left_out(
            field in "[a-z]{1,8}", value in anything(), of_container in any::<bool>(),
        ) {
            let pod = json!({"spec": {"containers": [{"name": "a", "image": "i"}]}});
            let mut other = pod.clone();
            let place = if of_container { &mut other["spec"]["containers"][0] } else { &mut other["spec"] };
            prop_assume!(place.get(&field).is_none());
            place[&field] = value;
            let left_out = if of_container { field == "resources" } else { LEFT_OUT.contains(&field.as_str()) };
            prop_assert_eq!(pod_content(None, &pod) == pod_content(None, &other), left_out);
        }
    }

    /// A pod with these token volumes, mounted at /a, /b and so on.
    fn with_tokens(names: [&str; 2], sources: [&str; 2]) -> Option<String> {
        let volumes = [0, 1].map(|i| json!({"name": names[i], "configMap": {"name": sources[i]}}));
        let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
        let mounts = [mount(names[0], "/a"), mount(names[1], "/b")];
        pod_content(None, &json!({"spec": {"containers": [{"volumeMounts": mounts}], "volumes": volumes}}))
    }

    #[test]
    fn of_a_token_volume_the_drawn_name_alone_is_left_out() {
        let drawn = ["kube-api-access-2xk9p", "kube-api-access-7hd4w"];
        let pod = with_tokens(drawn, ["x", "y"]);
        assert_eq!(with_tokens(["kube-api-access-aaaaa", "kube-api-access-bbbbb"], ["x", "y"]), pod);
        assert_eq!(with_tokens([drawn[1], drawn[0]], ["x", "y"]), pod);
        // What a volume holds, and which is mounted where.
        assert_ne!(with_tokens(drawn, ["x", "z"]), pod);
        assert_ne!(with_tokens(drawn, ["y", "x"]), pod);
        assert_ne!(with_tokens(["kube-api-access-2xk9p", "other"], ["x", "y"]), pod);
    }

    #[test]
    fn of_a_claim_the_name_of_the_pod_alone_is_left_out() {
        let claim = |pod: &str, volume: &str, claim: &str| {
            let volume = json!({"name": volume, "persistentVolumeClaim": {"claimName": claim}});
            pod_content(None, &json!({"metadata": {"name": pod}, "spec": {"volumes": [volume]}}))
        };
        assert_eq!(claim("scorer-0", "data", "data-scorer-0"), claim("scorer-12", "data", "data-scorer-12"));
        assert_ne!(claim("scorer-0", "data", "data-scorer-0"), claim("scorer-0", "data", "data-scorer-1"));
        assert_ne!(claim("scorer-0", "data", "data-scorer-0"), claim("scorer-0", "more", "more-scorer-0"));
        assert_ne!(claim("scorer-0", "data", "one"), claim("scorer-1", "data", "two"));
        assert_ne!(claim("", "data", "data-"), claim("", "data", "data-*"));
    }
}

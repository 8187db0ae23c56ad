//! What a pod or template would run: its images, and the digest of its content.

use serde::Serialize;
use serde_json::Value;

use super::Workload;
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

/// What of a container decides what it does.
#[derive(Serialize)]
struct Running<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<&'a Value>,
    #[serde(rename = "envFrom", skip_serializing_if = "Option::is_none")]
    env_from: Option<&'a Value>,
    image: &'a str,
    kind: Part,
    name: &'a str,
}

#[derive(Serialize)]
struct Mounted<'a> {
    name: &'a str,
    reference: &'a str,
}

#[derive(Serialize)]
struct Content<'a> {
    containers: Vec<Running<'a>>,
    release: &'a str,
    volumes: Vec<Mounted<'a>>,
}

/// Pod-content digest (invariant 9): SHA-256 over `placet.dev/pod/v1\n` and the RFC 8785 JSON of the release label and,
/// per container, kind, name, image, command, args, env and envFrom, and of the image volumes. What is added per pod
/// (token volume, hostname, claim names, affinity, index labels) is not in it. None: no canonical form.
pub(super) fn pod_content(release: Option<&str>, template: &Value) -> Option<String> {
    let spec = template.get("spec");
    let mut containers = Vec::with_capacity(4);
    for (kind, field) in Part::CONTAINERS {
        for container in list(spec, field) {
            let part = |name: &str| container.get(name).filter(|v| !v.is_null());
            containers.push(Running {
                args: part("args"),
                command: part("command"),
                env: part("env"),
                env_from: part("envFrom"),
                image: text(container, "image"),
                kind,
                name: text(container, "name"),
            });
        }
    }
    let volumes = list(spec, "volumes")
        .iter()
        .filter_map(|v| {
            Some(Mounted { name: text(v, "name"), reference: text(v.get("image")?, "reference") })
        })
        .collect();
    let content = Content { containers, release: release.unwrap_or_default(), volumes };
    let mut bytes = b"placet.dev/pod/v1\n".to_vec();
    // The general writer of RFC 8785 takes most of the time of a judgement, and the plain one gives the same bytes for
    // all that the API server lets through here.
    let parts = content.containers.iter().flat_map(|c| [c.args, c.command, c.env, c.env_from]);
    if parts.flatten().all(is_canonical) {
        serde_json::to_writer(&mut bytes, &content).ok()?;
    } else {
        serde_json_canonicalizer::to_writer(&content, &mut bytes).ok()?;
    }
    Some(digest::of_bytes(&bytes))
}

/// Whether the plain JSON of a value is its RFC 8785 JSON: no numbers, and keys in ASCII and in order.
fn is_canonical(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(_) => false,
        Value::Array(items) => items.iter().all(is_canonical),
        Value::Object(map) => {
            map.keys().zip(map.keys().skip(1)).all(|(a, b)| a < b)
                && map.iter().all(|(key, value)| key.is_ascii() && is_canonical(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\x00-\\x7f]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map("[a-zA-Z\"\\x00é\u{ff5e}\u{1f600}]{0,3}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_plain_writer_is_used_only_where_it_writes_the_canonical_form(value in anything()) {
            if is_canonical(&value) {
                let plain = serde_json::to_vec(&value).unwrap();
                prop_assert_eq!(plain, serde_json_canonicalizer::to_vec(&value).unwrap());
            }
        }

        #[test]
        fn both_writers_give_the_same_digest(env in anything()) {
            let pod = serde_json::json!({"spec": {"containers": [{"name": "a", "image": "i", "env": env}]}});
            let content = serde_json::json!({
                "containers": [{"env": env, "image": "i", "kind": "container", "name": "a"}],
                "release": "v1", "volumes": [],
            });
            prop_assume!(!env.is_null());
            let mut bytes = b"placet.dev/pod/v1\n".to_vec();
            bytes.extend(serde_json_canonicalizer::to_vec(&content).unwrap());
            prop_assert_eq!(pod_content(Some("v1"), &pod), Some(digest::of_bytes(&bytes)));
        }
    }
}

//! Workloads without what nothing decides by.
//!
//! Of a pod as the API server sends it that is a good part: `managedFields`, status, annotations, tolerations. Building it
//! in memory and freeing it again would cost more than judging it. What is kept is what
//! [`placet_gate::admission::subject`] and the patch of a hold read; a property test holds the two together.

use std::fmt;

use placet_api::keys;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What of a JSON value is kept. A value of another type than its shape expects is kept whole: it is for the judgement
/// to find it wrong.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Everything.
    All,
    /// These fields of an object.
    Fields(&'static [(&'static str, Shape)]),
    /// Every field of an object but those that are [`Shape::Nothing`].
    AllBut(&'static [(&'static str, Shape)]),
    /// Nothing.
    Nothing,
    /// This of each item of a list.
    Items(&'static Shape),
    /// A text of at most so many bytes; of a longer one the beginning, and how long it was.
    Text(usize),
}

const METADATA: Shape = Shape::Fields(&[
    ("name", Shape::All),
    ("generateName", Shape::All),
    ("namespace", Shape::All),
    ("uid", Shape::All),
    ("labels", Shape::All),
    ("ownerReferences", Shape::All),
    ("deletionTimestamp", Shape::All),
]);

/// Of a container everything decides what it does, but for how much it gets.
const CONTAINERS: Shape =
    Shape::Items(&Shape::AllBut(&[("resources", Shape::Fields(&[("claims", Shape::All)]))]));

/// What of a pod is no part of its content, and is not read otherwise.
const POD_SPEC: Shape = Shape::AllBut(&[
    ("containers", CONTAINERS),
    ("initContainers", CONTAINERS),
    ("affinity", Shape::Nothing),
    ("nodeSelector", Shape::Nothing),
    ("resources", Shape::Nothing),
    ("tolerations", Shape::Nothing),
    ("topologySpreadConstraints", Shape::Nothing),
]);

/// So many characters are kept of a text that is too long.
const BEGINNING: usize = 48;

/// The longest image reference that can be pinned: 255 for the repository, 128 for the tag, 71 for `sha256:…`, and the two
/// separators. The API server takes a megabyte. What is cut ends in no digest.
const IMAGE: Shape = Shape::Text(512);

/// The longest name and uid. The API server does not look at those of owners.
const NAME: Shape = Shape::Text(253);

/// Of a template only its images are judged: its pods are judged when they come.
const IMAGES: Shape = Shape::Items(&Shape::Fields(&[("name", NAME), ("image", IMAGE)]));
const VOLUMES: Shape =
    Shape::Items(&Shape::Fields(&[("name", NAME), ("image", Shape::Fields(&[("reference", IMAGE)]))]));
const TEMPLATE_SPEC: Shape = Shape::Fields(&[
    ("containers", IMAGES),
    ("initContainers", IMAGES),
    ("ephemeralContainers", IMAGES),
    ("volumes", VOLUMES),
]);

/// The only label that is read in the stores, but for namespaces.
const RELEASE: Shape = Shape::Fields(&[(keys::RELEASE, NAME)]);

const OWNERS: Shape = Shape::Items(&Shape::Fields(&[
    ("apiVersion", NAME),
    ("kind", NAME),
    ("name", NAME),
    ("uid", NAME),
    ("controller", Shape::All),
]));

/// Metadata in the stores.
const STORED: Shape = Shape::Fields(&[
    ("name", NAME),
    ("generateName", NAME),
    ("namespace", NAME),
    ("uid", NAME),
    ("labels", RELEASE),
    ("ownerReferences", OWNERS),
    ("deletionTimestamp", NAME),
    ("deletionGracePeriodSeconds", Shape::All),
]);

/// A pod.
pub const POD: Shape = Shape::Fields(&[("metadata", METADATA), ("spec", POD_SPEC)]);

/// A controller's object in a request, or a Scale: templates are compared whole.
pub const CONTROLLER: Shape = Shape::Fields(&[("metadata", METADATA), ("spec", Shape::All)]);

/// A controller's object in the stores: what a Scale request that names it is judged by.
const PARENT: Shape = Shape::Fields(&[
    ("metadata", STORED),
    (
        "spec",
        Shape::Fields(&[
            ("replicas", Shape::All),
            ("strategy", Shape::All),
            (
                "template",
                Shape::Fields(&[
                    ("metadata", Shape::Fields(&[("labels", RELEASE)])),
                    ("spec", TEMPLATE_SPEC),
                ]),
            ),
        ]),
    ),
]);

/// A pod in the stores.
const STORED_POD: Shape = Shape::Fields(&[
    ("metadata", STORED),
    ("spec", Shape::Fields(&[("schedulingGates", Shape::Items(&Shape::Fields(&[("name", NAME)])))])),
    ("status", Shape::Fields(&[("phase", NAME)])),
]);

/// A namespace in the stores: policies select by any label.
const NAMESPACE: Shape =
    Shape::Fields(&[("metadata", Shape::Fields(&[("name", NAME), ("labels", Shape::All)]))]);

/// Bytes of what is kept of a controller's object: a hundred containers as they usually are, or thirty of the largest.
pub const MAX_PARENT: usize = 16 << 10;

/// Bytes of an object's status. Ours has some ten thousand.
const MAX_STATUS: usize = 256 << 10;

/// What is kept of a controller's object, from its JSON. One that is too large to be remembered has no spec.
///
/// # Errors
/// It is no JSON.
pub fn parent(text: &str) -> serde_json::Result<Value> {
    let mut object = shaped(PARENT, text)?;
    keep_controller(&mut object);
    let volumes = object.pointer_mut("/spec/template/spec/volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten().filter_map(Value::as_object_mut) {
        // It keeps its place, which is told of those behind it.
        if !volume.contains_key("image") {
            volume.clear();
        }
    }
    if object.get("spec").is_some_and(|spec| spec.to_string().len() > MAX_PARENT) {
        object.as_object_mut().map(|fields| fields.remove("spec"));
    }
    Ok(object)
}

/// What is kept of a pod, from its JSON.
///
/// # Errors
/// It is no JSON.
pub fn pod(text: &str) -> serde_json::Result<Value> {
    let mut pod = shaped(STORED_POD, text)?;
    keep_controller(&mut pod);
    if let Some(gates) = pod.pointer_mut("/spec/schedulingGates").and_then(Value::as_array_mut) {
        gates.retain(|gate| gate["name"] == keys::HOLD_GATE);
    }
    Ok(pod)
}

/// What is kept of a namespace, from its JSON.
///
/// # Errors
/// It is no JSON.
pub fn namespace(text: &str) -> serde_json::Result<Value> {
    shaped(NAMESPACE, text)
}

/// An object of ours, from its JSON: all of it but its `managedFields`, and but for a status that somebody else wrote or
/// that is longer than ours can be. Of `managedFields` that one stays by which it was somebody else.
///
/// # Errors
/// It is no JSON.
pub fn own(text: &str) -> serde_json::Result<Value> {
    let mut object = shaped(WRITTEN, text)?;
    let Some(fields) = object.as_object_mut() else { return Ok(object) };
    let mut by_others = false;
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(Value::Array(mut managers)) = metadata.remove("managedFields")
    {
        managers.retain(|m| m["subresource"] == "status" && m["manager"] != keys::MANAGER_STATUS);
        managers.truncate(1);
        by_others = !managers.is_empty();
        if by_others {
            metadata.insert("managedFields".to_owned(), managers.into());
        }
    }
    if by_others || fields.get("status").is_some_and(|status| status.to_string().len() > MAX_STATUS) {
        fields.remove("status");
    }
    Ok(object)
}

/// An object of ours as it comes.
const WRITTEN: Shape = Shape::AllBut(&[(
    "metadata",
    Shape::AllBut(&[(
        "managedFields",
        Shape::Items(&Shape::Fields(&[("manager", NAME), ("subresource", NAME)])),
    )]),
)]);

fn shaped(shape: Shape, text: &str) -> serde_json::Result<Value> {
    shape.deserialize(&mut serde_json::Deserializer::from_str(text))
}

/// Of all owners only the controlling one is read.
fn keep_controller(object: &mut Value) {
    if let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
        owners.retain(|owner| owner["controller"] == true);
        owners.truncate(1);
    }
}

/// An object of ours, beside what decisions read: what tells its version, and its status with who wrote that.
pub const OWN: Shape = Shape::Fields(&[
    (
        "metadata",
        Shape::Fields(&[
            ("name", Shape::All),
            ("namespace", Shape::All),
            ("uid", Shape::All),
            ("generation", Shape::All),
            ("annotations", Shape::Fields(&[(keys::STAMP, Shape::All), (keys::RECEIPT, Shape::All)])),
            (
                "managedFields",
                Shape::Items(&Shape::Fields(&[("manager", Shape::All), ("subresource", Shape::All)])),
            ),
        ]),
    ),
    ("status", Shape::All),
]);

impl<'de> DeserializeSeed<'de> for Shape {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Shape::All => Value::deserialize(deserializer),
            Shape::Nothing => IgnoredAny::deserialize(deserializer).map(|_| Value::Null),
            Shape::Fields(_) | Shape::AllBut(_) | Shape::Items(_) | Shape::Text(_) => {
                deserializer.deserialize_any(self)
            }
        }
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        match self {
            Shape::Fields(fields) => {
                while let Some(field) = map.next_key_seed(Named(fields))? {
                    match field {
                        Some((name, shape)) => {
                            kept.insert((*name).to_owned(), map.next_value_seed(*shape)?);
                        }
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
            }
            Shape::AllBut(fields) => {
                while let Some(key) = map.next_key::<String>()? {
                    match fields.iter().find(|(name, _)| *name == key).map_or(Shape::All, |(_, shape)| *shape)
                    {
                        Shape::Nothing => {
                            map.next_value::<IgnoredAny>()?;
                        }
                        shape => {
                            kept.insert(key, map.next_value_seed(shape)?);
                        }
                    }
                }
            }
            Shape::All | Shape::Nothing | Shape::Items(_) | Shape::Text(_) => {
                while let Some((key, value)) = map.next_entry()? {
                    kept.insert(key, value);
                }
            }
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let item = if let Shape::Items(item) = self { *item } else { Shape::All };
        let mut items = Vec::new();
        while let Some(value) = seq.next_element_seed(item)? {
            items.push(value);
        }
        Ok(Value::Array(items))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        match self {
            Shape::Text(most) if value.len() > most => {
                let begins: String = value.chars().take(BEGINNING).collect();
                Ok(format!("{begins}… ({} bytes)", value.len()).into())
            }
            _ => Ok(value.into()),
        }
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        if matches!(self, Shape::Text(_)) { self.visit_str(&value) } else { Ok(value.into()) }
    }
}

/// Reads a key as the field that it names, if that is kept.
struct Named(&'static [(&'static str, Shape)]);

impl<'de> DeserializeSeed<'de> for Named {
    type Value = Option<&'static (&'static str, Shape)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Named {
    type Value = Option<&'static (&'static str, Shape)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|(name, _)| *name == key))
    }
}

#[cfg(test)]
mod tests {
    use placet_gate::admission::{Operation, Request, Workload, hold_patch, subject};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn slim(shape: Shape, value: &Value) -> Value {
        let text = value.to_string();
        shape.deserialize(&mut serde_json::Deserializer::from_str(&text)).unwrap()
    }

    /// A value of any type, often one that fits.
    fn any_or(fits: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
        let text = prop_oneof![Just("v1".to_owned()), Just("repo@sha256:00".to_owned()), "[a-z]{0,3}"];
        prop_oneof![
            6 => fits,
            1 => prop_oneof![
                Just(Value::Null), Just(json!(1.5)), Just(json!(-3)), Just(json!(true)),
                text.prop_map(Value::from), Just(json!([])), Just(json!({})), Just(json!([1, {"name": "x"}])),
                Just(json!({"name": ["x"]})),
            ],
        ]
        .boxed()
    }

    fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
        fields
            .into_iter()
            .map(|(name, value)| prop::option::weighted(0.7, value).prop_map(move |v| (name, v)))
            .collect::<Vec<_>>()
            .prop_map(|fields| {
                let kept = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
                Value::Object(kept.collect())
            })
            .boxed()
    }

    fn list(item: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
        any_or(prop::collection::vec(any_or(item), 0..3).prop_map(Value::Array))
    }

    fn text() -> BoxedStrategy<Value> {
        any_or(prop_oneof![Just(json!("v1")), Just(json!("a")), Just(json!(""))])
    }

    fn metadata() -> BoxedStrategy<Value> {
        let labels = || object(vec![("placet.dev/release", text()), ("app", text())]);
        let owner = object(vec![
            ("kind", any_or(prop_oneof![Just(json!("ReplicaSet")), Just(json!("Job"))])),
            ("uid", text()),
            ("name", text()),
            ("apiVersion", Just(json!("apps/v1")).boxed()),
            ("controller", any_or(any::<bool>().prop_map(Value::from))),
        ]);
        any_or(object(vec![
            ("name", text()),
            ("generateName", text()),
            ("uid", text()),
            ("labels", any_or(labels())),
            ("ownerReferences", list(owner)),
            ("deletionTimestamp", text()),
            ("deletionGracePeriodSeconds", any_or(prop_oneof![Just(json!(30)), Just(json!(100_000))])),
            ("managedFields", list(Just(json!({"manager": "m"})).boxed())),
            ("annotations", any_or(labels())),
        ]))
    }

    fn pod() -> BoxedStrategy<Value> {
        let container = || {
            object(vec![
                ("name", text()),
                ("image", text()),
                ("command", list(text())),
                ("args", list(text())),
                ("env", list(object(vec![("name", text()), ("value", text())]))),
                ("envFrom", list(text())),
                ("resources", any_or(object(vec![("claims", list(text())), ("limits", text())]))),
                ("lifecycle", text()),
                ("volumeMounts", list(object(vec![("name", volume_name()), ("mountPath", text())]))),
            ])
        };
        let volume = object(vec![
            ("name", volume_name()),
            ("image", any_or(object(vec![("reference", text()), ("pullPolicy", text())]))),
            ("persistentVolumeClaim", any_or(object(vec![("claimName", any_or(Just(json!("a-v1"))))]))),
            ("emptyDir", text()),
        ]);
        let spec = object(vec![
            ("containers", list(container())),
            ("initContainers", list(container())),
            ("ephemeralContainers", list(container())),
            ("volumes", list(volume)),
            ("schedulingGates", list(any_or(Just(json!({"name": "placet.dev/hold"}))))),
            ("nodeName", text()),
            ("tolerations", text()),
            ("affinity", text()),
            ("priority", text()),
            ("hostNetwork", any_or(any::<bool>().prop_map(Value::from))),
            ("resources", text()),
        ]);
        object(vec![("metadata", metadata()), ("spec", any_or(spec)), ("status", status())])
    }

    fn status() -> BoxedStrategy<Value> {
        any_or(object(vec![("phase", any_or(prop_oneof![Just(json!("Running")), Just(json!("Failed"))]))]))
    }

    fn volume_name() -> BoxedStrategy<Value> {
        any_or(prop_oneof![
            Just(json!("a")),
            Just(json!("kube-api-access-a")),
            Just(json!("kube-api-access-b"))
        ])
    }

    fn workload() -> BoxedStrategy<Value> {
        let strategy = object(vec![
            ("type", any_or(Just(json!("Recreate")))),
            ("rollingUpdate", any_or(object(vec![("maxSurge", any_or(Just(json!("0%"))))]))),
        ]);
        let spec = object(vec![
            ("template", any_or(pod())),
            ("replicas", any_or((0_i64..3).prop_map(Value::from))),
            ("parallelism", any_or((0_i64..3).prop_map(Value::from))),
            ("paused", any_or(any::<bool>().prop_map(Value::from))),
            ("suspend", any_or(any::<bool>().prop_map(Value::from))),
            ("strategy", any_or(strategy)),
            ("selector", text()),
        ]);
        object(vec![("metadata", metadata()), ("spec", any_or(spec)), ("status", text())])
    }

    fn request<'a>(
        kind: Workload,
        sub: Option<&'a str>,
        new: &'a Value,
        old: Option<&'a Value>,
    ) -> Request<'a> {
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        Request { kind, subresource: sub, operation, namespace: "n", name: "", object: new, old, user: "u" }
    }

    proptest! {
        #[test]
        fn a_pod_is_judged_by_what_is_kept_of_it(
            new in any_or(pod()), old in prop::option::of(any_or(pod())), ephemeral in any::<bool>(),
        ) {
            let (slim_new, slim_old) = (slim(POD, &new), old.as_ref().map(|o| slim(POD, o)));
            let sub = ephemeral.then_some("ephemeralcontainers");
            let whole = subject(&request(Workload::Pod, sub, &new, old.as_ref()), None);
            let slim = subject(&request(Workload::Pod, sub, &slim_new, slim_old.as_ref()), None);
            prop_assert_eq!(whole, slim);
            prop_assert_eq!(hold_patch(&new), hold_patch(&slim_new));
        }

        #[test]
        fn a_store_knows_a_pod_by_what_is_kept_of_it(pod in any_or(pod())) {
            let slim = super::pod(&pod.to_string()).unwrap();
            prop_assert_eq!(crate::places::Pod::of(&pod), crate::places::Pod::of(&slim));
        }

        #[test]
        fn a_controllers_object_is_judged_by_what_is_kept_of_it(
            kind in prop::sample::select(&Workload::ALL[1..]), new in any_or(workload()),
            old in prop::option::of(any_or(workload())),
        ) {
            let (slim_new, slim_old) = (slim(CONTROLLER, &new), old.as_ref().map(|o| slim(CONTROLLER, o)));
            let whole = subject(&request(kind, None, &new, old.as_ref()), None);
            prop_assert_eq!(whole, subject(&request(kind, None, &slim_new, slim_old.as_ref()), None));
        }

        #[test]
        fn a_scale_is_judged_by_what_is_kept_of_its_parent(
            kind in prop::sample::select(&Workload::ALL[1..5]), parent in any_or(workload()), replicas in 0_i64..3,
        ) {
            let scale = json!({"metadata": {"name": "a"}, "spec": {"replicas": replicas}});
            let none = json!({"spec": {}});
            let request = request(kind, Some("scale"), &scale, Some(&none));
            let slim = super::parent(&parent.to_string()).unwrap();
            prop_assert_eq!(subject(&request, Some(&parent)), subject(&request, Some(&slim)));
        }
    }

    #[test]
    fn what_nothing_reads_is_dropped_and_a_misfit_is_kept() {
        let pod = json!({
            "metadata": {"name": "a", "managedFields": [{"manager": "m"}], "annotations": {"k": "v"}},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {}}}, 7], "volumes": "none", "tolerations": []},
            "status": {"phase": "Running"},
        });
        let kept = json!({
            "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {}}, 7], "volumes": "none"},
        });
        assert_eq!(slim(POD, &pod), kept);
        assert_eq!(POD.deserialize(pod).unwrap(), kept);
    }
}

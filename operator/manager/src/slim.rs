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

/// Of a template only its images are judged: its pods are judged when they come.
const IMAGES: Shape = Shape::Items(&Shape::Fields(&[("name", Shape::All), ("image", Shape::All)]));
const TEMPLATE_SPEC: Shape = Shape::Fields(&[
    ("containers", IMAGES),
    ("initContainers", IMAGES),
    ("ephemeralContainers", IMAGES),
    ("volumes", IMAGES),
]);

/// A pod.
pub const POD: Shape = Shape::Fields(&[("metadata", METADATA), ("spec", POD_SPEC)]);

/// A controller's object in a request, or a Scale: templates are compared whole.
pub const CONTROLLER: Shape = Shape::Fields(&[("metadata", METADATA), ("spec", Shape::All)]);

/// A controller's object in the stores: what a Scale request that names it is judged by.
pub const PARENT: Shape = Shape::Fields(&[
    ("metadata", METADATA),
    (
        "spec",
        Shape::Fields(&[
            ("replicas", Shape::All),
            ("paused", Shape::All),
            ("strategy", Shape::All),
            (
                "template",
                Shape::Fields(&[
                    ("metadata", Shape::Fields(&[("labels", Shape::All)])),
                    ("spec", TEMPLATE_SPEC),
                ]),
            ),
        ]),
    ),
]);

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
            Shape::Fields(_) | Shape::AllBut(_) | Shape::Items(_) => deserializer.deserialize_any(self),
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
            Shape::All | Shape::Nothing | Shape::Items(_) => {
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
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
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
        object(vec![("metadata", metadata()), ("spec", any_or(spec)), ("status", text())])
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
            let slim: Value = PARENT.deserialize(parent.clone()).unwrap();
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

//! Objects that are about to be created: shown, asked about, created under a name that is free.

use anyhow::bail;
use jiff::Timestamp;
use placet_api::Kind;
use placet_api::keys::{GROUP, RECEIPT, VERSION};
use serde_json::{Value, json};

use crate::args::WriteOutput;
use crate::cluster::{Cluster, Refused};
use crate::{sys, text, yaml};

/// An object without what only appliers need, as kubectl shows it.
pub fn readable(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// The receipt that an object carries.
pub fn receipt(object: &Value) -> Option<&str> {
    object.pointer("/metadata/annotations")?.get(RECEIPT)?.as_str().filter(|receipt| !receipt.is_empty())
}

/// Says that what was stored carries no receipt, and how it is healed: who may decide can change no decision, and gives it
/// again.
pub fn tell_unstamped(kind: Kind, name: &str, namespace: &str) {
    let (short, plural) = (kind.short(), kind.plural());
    let heal = match kind {
        Kind::Approval | Kind::RiskAcceptance => {
            "then give the same command again: it takes another name".to_owned()
        }
        _ => {
            format!(
                "then:\n  kubectl get {plural} {name} -n {namespace} -o yaml | kubectl apply --server-side -f -"
            )
        }
    };
    sys::tell(&format!(
        "error: {short}/{name} was stored without a receipt, because no webhook of Placet stamped it: nobody is known to have \
         written it, and it does not count. Install or repair Placet (kubectl get mutatingwebhookconfigurations \
         placet-mutating), {heal}"
    ));
}

/// How an object is written.
#[derive(Debug, Clone, Copy)]
pub struct Writing<'a> {
    /// What is asked before.
    pub question: &'a str,
    /// Whether the answer is known.
    pub yes: bool,
    /// Print it and create nothing.
    pub dry_run: bool,
    /// What is printed.
    pub output: WriteOutput,
}

/// An object that is about to be created.
#[derive(Debug)]
pub struct Made {
    /// Its kind.
    pub kind: Kind,
    /// The name that it should have.
    pub name: String,
    /// Its spec.
    pub spec: Value,
}

impl Made {
    fn object(&self, cluster: &Cluster, name: &str) -> Value {
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": self.kind.as_str(),
            "metadata": {"name": name, "namespace": cluster.namespace},
            "spec": self.spec,
        })
    }

    /// The object under its name.
    pub fn whole(&self, cluster: &Cluster) -> Value {
        self.object(cluster, &self.name)
    }

    /// Prints it and creates nothing, or asks and creates it.
    pub fn write(&self, cluster: &Cluster, how: &Writing<'_>, now: Timestamp) -> anyhow::Result<u8> {
        let object = || self.object(cluster, &self.name);
        match how.output {
            WriteOutput::Json if how.dry_run => sys::print(&text::json(&object())?)?,
            WriteOutput::Yaml => sys::print(&yaml::document(&object()))?,
            WriteOutput::Name if how.dry_run => sys::print(&yaml::document(&object()))?,
            WriteOutput::Name | WriteOutput::Json => {
                sys::confirm(how.question, how.yes)?;
                return self.create(cluster, how.output, now);
            }
        }
        Ok(0)
    }

    /// Creates it, under a name with a hash where the name is taken: decisions are immutable, a new one is a new object.
    fn create(&self, cluster: &Cluster, output: WriteOutput, now: Timestamp) -> anyhow::Result<u8> {
        let content = self.spec.to_string();
        let names = [
            self.name.clone(),
            text::with_hash(&self.name, &content),
            text::with_hash(&self.name, &format!("{content}{now}")),
        ];
        for name in &names {
            match cluster.create(self.kind, &self.object(cluster, name)) {
                Ok(made) => {
                    let stamped = receipt(&made).is_some();
                    let what = if stamped { "created" } else { "created without a receipt" };
                    if !stamped {
                        tell_unstamped(self.kind, name, &cluster.namespace);
                    }
                    sys::print(&match output {
                        WriteOutput::Json => text::json(&readable(made))?,
                        _ => format!("{}.{GROUP}/{name} {what}\n", self.kind.as_str().to_lowercase()),
                    })?;
                    return Ok(u8::from(!stamped));
                }
                Err(e) if e.downcast_ref::<Refused>().is_some_and(|r| r.reason == "AlreadyExists") => {
                    sys::tell(&format!("note: {} {name} exists already; taking another name", self.kind));
                }
                Err(e) => return Err(e),
            }
        }
        bail!("{}: wanted a free name, found {} taken", self.kind, names.join(", "))
    }
}

//! `placet digest`: the digest that approvals bind, of an object in a file or on the cluster.

use std::path::Path;

use anyhow::bail;
use placet_api::Kind;
use placet_gate::visible;

use crate::approve::digest_of;
use crate::args::{DigestArgs, Global};
use crate::cluster::Cluster;
use crate::files;
use crate::{sys, target};

/// Runs the command.
pub fn run(global: &Global, args: &DigestArgs) -> anyhow::Result<u8> {
    let path = Path::new(&args.target);
    if args.target == "-" || path.exists() {
        let input = files::load(&[path.to_owned()], global.namespace.as_deref())?;
        let mut out = Vec::new();
        for object in &input.objects {
            let namespace = object.namespace.clone().unwrap_or_default();
            let digest = digest_of(&object.value, object.kind, &namespace, &object.name, args.covers)?;
            out.push((digest, object.label()));
        }
        let text = match out.as_slice() {
            [] => bail!("{}: wanted an object of placet.dev, found none", args.target),
            [(digest, _)] => format!("{digest}\n"),
            all => {
                let lines: Vec<String> = all
                    .iter()
                    .map(|(digest, label)| format!("{digest}  {}\n", visible::line(label)))
                    .collect();
                lines.concat()
            }
        };
        sys::print(&text)?;
        return Ok(0);
    }
    let (kind, name) = target::ours(&args.target, &Kind::ALL)
        .map_err(|e| e.context(format!("{}: no such file, and no KIND/NAME", args.target)))?;
    let cluster = Cluster::connect(global)?;
    let object = cluster.get(kind, &name)?;
    sys::print(&format!("{}\n", digest_of(&object, kind, &cluster.namespace, &name, args.covers)?))?;
    Ok(0)
}

//! The ways round approvals that RBAC can give, each as questions to its rules.

use serde::Serialize;

use super::rbac::{Ask, Grant, Own, Rule};

/// Where something has to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// In the whole cluster: it is of no namespace.
    Cluster,
    /// In the installation's namespace.
    Installation,
    /// In kube-system, where the accounts of Kubernetes' controllers are.
    KubeSystem,
    /// In any namespace.
    Anywhere,
    /// A namespace itself, which rights in that namespace reach.
    Namespaces,
}

/// A question to rules: any of the verbs on any of the resources.
#[derive(Debug, Clone)]
struct Question {
    place: Where,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    /// The names that matter; all if none is given.
    names: Option<Vec<String>>,
}

/// One way round.
#[derive(Debug, Clone)]
pub struct Bypass {
    /// A stable word for it.
    pub id: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it lets somebody do.
    pub lets: &'static str,
    questions: Vec<Question>,
}

/// What a grant allows of a way round.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Hit {
    /// Verbs.
    pub verbs: Vec<String>,
    /// Resources, with their group.
    pub resources: Vec<String>,
    /// The only names that it holds for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl std::fmt::Display for Hit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verbs.join(", "), self.resources.join(", "))?;
        if self.names.is_empty() { Ok(()) } else { write!(f, " (only {})", self.names.join(", ")) }
    }
}

/// Whether a request with this verb on this resource bears no name, so that a rule with names never allows it.
fn nameless(verb: &str, resource: &str) -> bool {
    verb == "deletecollection" || verb == "create" && !resource.contains('/')
}

impl Question {
    /// What a rule, granted in this namespace or everywhere, allows of it.
    fn ask(&self, rule: &Rule, namespace: Option<&str>, own: &Own<'_>) -> Option<Hit> {
        // Rights in a namespace reach that namespace, itself included.
        let itself = match (self.place, namespace) {
            (Where::Cluster, Some(_)) => return None,
            (Where::Installation, Some(found)) if found != own.namespace => return None,
            (Where::KubeSystem, Some(found)) if found != "kube-system" => return None,
            (Where::Namespaces, Some(found)) => Some(vec![found.to_owned()]),
            _ => None,
        };
        let matter = itself.as_ref().or(self.names.as_ref());
        let mut hit = Hit { verbs: Vec::new(), resources: Vec::new(), names: Vec::new() };
        let mut named = true;
        for resource in self.resources {
            for verb in self.verbs {
                let allows = |name: &str| rule.allows(&Ask { verb, group: self.group, resource, name });
                let mut only = Vec::new();
                let holds = if nameless(verb, resource) {
                    named &= !allows("");
                    allows("")
                } else if rule.resource_names.is_empty() {
                    named = false;
                    allows("")
                } else {
                    let mine = rule.resource_names.iter();
                    only =
                        mine.filter(|n| matter.is_none_or(|m| m.contains(n)) && allows(n)).cloned().collect();
                    !only.is_empty()
                };
                if holds {
                    hit.verbs.push((*verb).to_owned());
                    let group =
                        if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
                    hit.resources.push(match resource.split_once('/') {
                        Some((plain, sub)) => format!("{plain}{group}/{sub}"),
                        None => format!("{resource}{group}"),
                    });
                    hit.names.extend(only);
                }
            }
        }
        if !named {
            hit.names.clear();
        }
        if let Some(itself) = itself {
            hit.names = itself;
        }
        for list in [&mut hit.verbs, &mut hit.resources, &mut hit.names] {
            let mut seen = std::collections::BTreeSet::new();
            list.retain(|x| seen.insert(x.clone()));
        }
        (!hit.verbs.is_empty()).then_some(hit)
    }
}

impl Bypass {
    /// What a grant allows of it.
    pub fn ask(&self, grant: &Grant, own: &Own<'_>) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        for question in &self.questions {
            for rule in grant.rules.iter() {
                if let Some(hit) = question.ask(rule, grant.namespace.as_deref(), own)
                    && !hits.contains(&hit)
                {
                    hits.push(hit);
                }
            }
        }
        hits
    }
}

/// All kinds of ours.
const RESTORABLE: [&str; 10] = [
    "aisystems",
    "impactassessments",
    "modelreleases",
    "testreports",
    "datasets",
    "approvals",
    "riskacceptances",
    "releasepolicies",
    "approvalroles",
    "trustedsigners",
];

const WRITE: &[&str] = &["create", "update", "patch"];
const CHANGE: &[&str] = &["update", "patch", "delete", "deletecollection"];
const ALL_WRITES: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
const READ: &[&str] = &["get", "list", "watch"];
const RUNS_PODS: &[&str] = &["deployments", "statefulsets", "daemonsets", "replicasets"];

fn question(
    place: Where,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Question {
    Question { place, group, resources, verbs, names: None }
}

fn named(mut question: Question, names: &[String]) -> Question {
    question.names = Some(names.to_vec());
    question
}

/// All ways round, the shortest first. `namespaced`: some approval role is asked for in the subject's namespace, so that
/// who binds roles there gives it out.
pub fn bypasses(own: &Own<'_>, namespaced: bool) -> Vec<Bypass> {
    use Where::{Anywhere, Cluster, Installation, KubeSystem, Namespaces};
    let of = |suffixes: &[&str]| -> Vec<String> {
        suffixes.iter().map(|s| format!("{}{s}", own.release)).collect()
    };
    let fixed = |names: &[&str]| -> Vec<String> { names.iter().map(|n| (*n).to_owned()).collect() };
    let definitions: Vec<String> =
        placet_api::Kind::ALL.iter().map(|k| format!("{}.{}", k.plural(), placet_api::keys::GROUP)).collect();
    let client = fixed(&["kubernetes.io/kube-apiserver-client", "kubernetes.io/*"]);
    let bindings = if namespaced { Anywhere } else { Installation };
    vec![
        Bypass {
            id: "impersonate",
            title: "act as somebody else",
            lets: "approves in the name of a holder of any role; the stamp names the person impersonated. A policy stops \
                   plain --as with proof: Credential (not who may also impersonate userextras), all of it with proof: Signed.",
            questions: vec![
                question(Cluster, "", &["users", "groups"], &["impersonate"]),
                question(Cluster, "authentication.k8s.io", &["uids", "userextras/*"], &["impersonate"]),
                question(
                    Cluster,
                    "authentication.k8s.io",
                    &["users", "groups", "uids", "userextras/*"],
                    &["impersonate:user-info"],
                ),
                question(Installation, "", &["serviceaccounts"], &["impersonate"]),
                question(
                    Installation,
                    "authentication.k8s.io",
                    &["serviceaccounts"],
                    &["impersonate:serviceaccount"],
                ),
            ],
        },
        Bypass {
            id: "certificates",
            title: "make client certificates",
            lets: "becomes any user in any group but system:masters by a certificate: it takes approve on the signer with \
                   update on certificatesigningrequests/approval, or sign on it with update on certificatesigningrequests/status.",
            questions: vec![
                named(question(Cluster, "certificates.k8s.io", &["signers"], &["approve", "sign"]), &client),
                question(
                    Cluster,
                    "certificates.k8s.io",
                    &["certificatesigningrequests/approval", "certificatesigningrequests/status"],
                    &["update", "patch"],
                ),
            ],
        },
        Bypass {
            id: "grants",
            title: "give out roles",
            lets: "makes anybody a holder of an approval role: with bind or escalate of any, otherwise of those that they \
                   hold themselves.",
            questions: vec![
                question(Cluster, "rbac.authorization.k8s.io", &["clusterroles"], &["bind", "escalate"]),
                question(
                    Cluster,
                    "rbac.authorization.k8s.io",
                    &["clusterroles", "clusterrolebindings"],
                    WRITE,
                ),
                question(bindings, "rbac.authorization.k8s.io", &["roles"], &["bind", "escalate"]),
                question(bindings, "rbac.authorization.k8s.io", &["roles", "rolebindings"], WRITE),
            ],
        },
        Bypass {
            id: "policies",
            title: "change what is asked for",
            lets: "changes which approvals a release needs, what a role is, or whose signature is whose.",
            questions: vec![question(
                Cluster,
                placet_api::keys::GROUP,
                &["releasepolicies", "approvalroles", "trustedsigners"],
                ALL_WRITES,
            )],
        },
        Bypass {
            id: "restore",
            title: "restore what was backed up",
            lets: "creates objects that keep the author and the time of a stamp that they carry, if the log has its record: \
                   brings back what was lost, and nothing that somebody deleted by its name.",
            questions: vec![question(
                Cluster,
                placet_api::keys::GROUP,
                &RESTORABLE,
                &[placet_api::keys::VERB_RESTORE],
            )],
        },
        Bypass {
            id: "definitions",
            title: "change the kinds",
            lets: "takes away rules of the kinds (immutable specs), deletes a kind with all its objects, or answers for the \
                   group placet.dev with a server of their own.",
            questions: vec![
                named(
                    question(Cluster, "apiextensions.k8s.io", &["customresourcedefinitions"], CHANGE),
                    &definitions,
                ),
                question(Cluster, "apiregistration.k8s.io", &["apiservices"], WRITE),
            ],
        },
        Bypass {
            id: "webhooks",
            title: "change what admission asks",
            lets: "switches the webhooks off, or puts a mutating one before them that changes what somebody approves before \
                   it is stamped with their name.",
            questions: vec![
                named(
                    question(
                        Cluster,
                        "admissionregistration.k8s.io",
                        &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
                        CHANGE,
                    ),
                    &fixed(&["placet-mutating", "placet-validating"]),
                ),
                question(
                    Cluster,
                    "admissionregistration.k8s.io",
                    &[
                        "mutatingwebhookconfigurations",
                        "mutatingadmissionpolicies",
                        "mutatingadmissionpolicybindings",
                    ],
                    WRITE,
                ),
            ],
        },
        Bypass {
            id: "webhookPort",
            title: "read where the webhooks lead",
            lets: "knows the path that lets somebody who reaches the port talk to the operator as an API server does, and \
                   have things recorded that did not happen; it clears nothing.",
            questions: vec![named(
                question(
                    Cluster,
                    "admissionregistration.k8s.io",
                    &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
                    READ,
                ),
                &fixed(&["placet-mutating", "placet-validating"]),
            )],
        },
        Bypass {
            id: "namespaces",
            title: "label namespaces",
            lets: "takes a namespace out of enforcement: with the verb enforce at any time, with update on the namespace \
                   alone while the operator is gone.",
            questions: vec![
                question(
                    Cluster,
                    placet_api::keys::GROUP,
                    &["releasepolicies"],
                    &[placet_api::keys::VERB_ENFORCE],
                ),
                question(
                    Namespaces,
                    "",
                    &["namespaces", "namespaces/status", "namespaces/finalize"],
                    &["update", "patch"],
                ),
            ],
        },
        Bypass {
            id: "keys",
            title: "read or replace the installation's keys",
            lets: "signs stamps in anybody's name and heads of the log, learns who the log's people are, and answers the API \
                   server in the webhooks' place.",
            questions: vec![named(
                question(
                    Installation,
                    "",
                    &["secrets"],
                    &["get", "list", "watch", "update", "patch", "delete", "deletecollection"],
                ),
                &of(&["-receipt-key", "-log-key", "-people-key", "-ca"]),
            )],
        },
        Bypass {
            id: "account",
            title: "act as the operator, or beside it",
            lets: "runs as the operator's account, in its pod or in one beside it, and so reads its keys and its log.",
            questions: vec![
                named(question(Installation, "", &["serviceaccounts/token"], &["create"]), &of(&[""])),
                // A Secret of a token's type is filled with a token of the account that it names.
                question(Installation, "", &["secrets"], &["create"]),
                question(Installation, "", &["pods"], WRITE),
                question(Installation, "", &["pods/exec", "pods/attach"], &["create", "get"]),
                question(Installation, "", &["pods/ephemeralcontainers"], &["update", "patch"]),
                question(Installation, "", &["replicationcontrollers", "podtemplates"], WRITE),
                question(Installation, "apps", RUNS_PODS, WRITE),
                question(Installation, "batch", &["jobs", "cronjobs"], WRITE),
            ],
        },
        Bypass {
            id: "configuration",
            title: "reconfigure the operator",
            lets: "changes its arguments and image, stops it, changes the policies that it applies, or leaves it orders in \
                   the ConfigMap of the log's head (a successor log, keys to rotate or distrust).",
            questions: vec![
                named(
                    question(Installation, "apps", &["statefulsets", "statefulsets/scale"], CHANGE),
                    &of(&[""]),
                ),
                named(question(Installation, "", &["configmaps"], CHANGE), &of(&["-log-head", "-policies"])),
            ],
        },
        Bypass {
            id: "log",
            title: "copy or replace the log's volume",
            lets: "reads the log with the openings of its names, or gives the operator an older copy (it notices, and starts \
                   no more).",
            questions: vec![
                question(Installation, "snapshot.storage.k8s.io", &["volumesnapshots"], &["create"]),
                question(Installation, "", &["persistentvolumeclaims"], &["create"]),
                named(
                    question(Installation, "", &["persistentvolumeclaims"], CHANGE),
                    &[format!("log-{}-0", own.release)],
                ),
                question(Cluster, "", &["persistentvolumes"], WRITE),
            ],
        },
        Bypass {
            id: "nodes",
            title: "reach into nodes",
            lets: "runs commands in every pod of a node through its kubelet, the operator's included, past admission and the \
                   audit log.",
            questions: vec![question(
                Cluster,
                "",
                &["nodes/proxy"],
                &["get", "create", "update", "patch", "delete"],
            )],
        },
        Bypass {
            id: "controllers",
            title: "act as Kubernetes' own controllers",
            lets: "runs as an account of kube-system, of which some give out roles, create pods everywhere and approve \
                   certificates.",
            questions: vec![
                question(KubeSystem, "", &["serviceaccounts"], &["impersonate"]),
                question(KubeSystem, "", &["serviceaccounts/token"], &["create"]),
                question(KubeSystem, "", &["secrets"], READ),
                question(KubeSystem, "", &["pods"], WRITE),
                question(KubeSystem, "", &["pods/exec", "pods/attach"], &["create", "get"]),
                question(KubeSystem, "", &["pods/ephemeralcontainers"], &["update", "patch"]),
                question(KubeSystem, "apps", RUNS_PODS, WRITE),
                question(KubeSystem, "batch", &["jobs", "cronjobs"], WRITE),
            ],
        },
    ]
}

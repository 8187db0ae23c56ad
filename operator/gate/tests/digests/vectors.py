#!/usr/bin/env python3
"""A second implementation of Placet's content and classification digests, which shares no code with the first.

`python3 vectors.py` prints vectors.json; `operator/gate/tests/digests.rs` holds the Rust implementation against it.
The inputs use ASCII, integers and strings only, for which RFC 8785 equals Python's compact, sorted JSON.
"""
import hashlib
import json

# Lists whose order carries no meaning: path from spec, keys ([] for a set of plain values).
KEYED = {
    "ModelRelease": [("artifacts", ["name"]), ("datasets", ["name", "use"]), ("developers", [])],
    "AISystem": [
        ("organisationRoles", []), ("intendedUse.users", []), ("intendedUse.regions", []),
        ("triggers.annexIII", []), ("exceptions", ["point"]), ("datasets", ["name"]),
    ],
    "ImpactAssessment": [("risks.*.harms", []), ("risks.*.controls", ["control"]), ("risks", ["id"]), ("harms", ["id"])],
    "ReleasePolicy": [("approvals", ["role"]), ("appliesTo.classes", [])],
}


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def visit(value, path, keys):
    if not path:
        key = (lambda i: canonical(i)) if not keys else (lambda i: [canonical(i.get(k)) for k in keys])
        value.sort(key=key)
    elif path[0] == "*":
        for item in value:
            visit(item, path[1:], keys)
    elif isinstance(value, dict) and path[0] in value:
        visit(value[path[0]], path[1:], keys)


def sorted_spec(kind, spec):
    spec = json.loads(json.dumps(spec))
    for path, keys in KEYED.get(kind, []):
        visit(spec, path.split("."), keys)
    return spec


def digest(domain, body):
    return "sha256:" + hashlib.sha256((domain + canonical(body)).encode()).hexdigest()


def content(kind, namespace, name, spec):
    spec = sorted_spec(kind, spec)
    spec.pop("withdrawn", None) if kind == "ModelRelease" else None
    body = {"group": "placet.dev", "kind": kind, "name": name, "spec": spec}
    if namespace is not None:
        body["namespace"] = namespace
    return digest("placet.dev/digest/v1\n", body)


def classification(namespace, name, spec):
    spec = sorted_spec("AISystem", spec)
    body = {"group": "placet.dev", "kind": "AISystem", "namespace": namespace, "name": name}
    parts = ["purpose", "intendedUse", "triggers", "derogation", "exceptions"]
    # The class depends on the day of placing on the market where a derogation is claimed, and only there.
    parts += ["placedOnMarketAt"] if spec.get("derogation") is not None else []
    body |= {k: spec[k] for k in parts if k in spec}
    return digest("placet.dev/classification/v1\n", body)


def risks(namespace, name, spec):
    spec = sorted_spec("ImpactAssessment", spec)
    bodies = {
        r["id"]: {
            "namespace": namespace, "assessment": name, "risk": r,
            "harms": [h for h in spec["harms"] if h["id"] in r["harms"]],
        }
        for r in spec["risks"]
    }
    return {risk: digest("placet.dev/risk/v1\n", body) for risk, body in bodies.items()}


SYSTEM = {
    "title": "Scoring", "purpose": "Estimate default", "organisationRoles": ["Provider", "Deployer"],
    "intendedUse": {"users": ["b", "a"], "decisions": [], "affectedGroups": [], "regions": ["EU", "CH"]},
    "triggers": {"annexIII": ["5(b)", "4(a)"], "article5": [], "profiling": True, "personalData": False},
    "exceptions": [{"point": "5(b)", "ground": "g", "legalBasis": "l"}, {"point": "1(a)", "ground": "g", "legalBasis": "l"}],
    "datasets": [{"name": "z"}, {"name": "a"}], "stage": "Operation",
}
DEROGATION = {
    "condition": "PreparatoryTask", "noSignificantRisk": "A person decides", "noMaterialInfluence": "It sorts",
    "assessedAt": "2026-05-01", "registration": "EU-2026-1",
}
RELEASE = {
    "system": "scoring", "version": "2.4.0", "change": {"kind": "Retrain", "reason": "Quarterly \"data\""},
    "artifacts": [{"name": "weights", "role": "Model", "digest": "sha256:51"}, {"name": "server", "role": "Runtime", "digest": "sha256:9f"}],
    "datasets": [{"name": "d", "use": "Training"}, {"name": "d", "use": "Evaluation"}], "developers": ["bob", "alice"],
}
ASSESSMENT = {
    "system": "scoring", "harms": [{"id": "H2", "likelihood": 4}, {"id": "H1", "likelihood": 9007199254740992}],
    "risks": [{"id": "R2", "harms": ["H2", "H1"], "controls": [{"control": "b"}, {"control": "a"}]}, {"id": "R1", "harms": []}],
}
POLICY = {"appliesTo": {"classes": ["Limited", "High"]}, "approvals": [{"role": "z", "count": 1}, {"role": "a", "count": 2}]}

CASES = [
    ("AISystem", "lending", "scoring", SYSTEM),
    ("AISystem", "lending", "scoring", SYSTEM | {"placedOnMarketAt": "2026-06-01"}),
    ("AISystem", "lending", "scoring", SYSTEM | {"derogation": DEROGATION}),
    ("AISystem", "lending", "scoring", SYSTEM | {"derogation": DEROGATION, "placedOnMarketAt": "2026-06-01"}),
    ("ModelRelease", "lending", "scoring-2", RELEASE),
    ("ModelRelease", "lending", "scoring-2", RELEASE | {"withdrawn": True}),
    ("ModelRelease", "lending", "empty", {}),
    ("ImpactAssessment", "lending", "impact", ASSESSMENT),
    ("ReleasePolicy", None, "high", POLICY),
    ("TestReport", "lending", "bias", {"rows": 0, "groups": [{"rows": 2}, {"rows": 1}], "fieldFromTheFuture": {"b": 1, "a": [None, False]}}),
]

if __name__ == "__main__":
    out = [
        {"kind": k, "namespace": ns, "name": n, "spec": s, "content": content(k, ns, n, s)}
        | ({"classification": classification(ns, n, s)} if k == "AISystem" else {})
        | ({"risks": risks(ns, n, s)} if k == "ImpactAssessment" else {})
        for k, ns, n, s in CASES
    ]
    print(json.dumps(out, indent=1, sort_keys=True))

//! Pod status as the node reports it: a pure function of the book.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::{Value, json};

use super::book::{ContainerState, Entry, Pages, Termination};

/// What status shows besides the book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) node_address: Ipv4Addr,
    pub(crate) opened: Timestamp,
    pub(crate) now: Timestamp,
}

/// The phase by the rules of restartPolicy.
pub(crate) fn phase(pages: &Pages) -> &'static str {
    if pages.refused.is_some() {
        return "Failed";
    }
    let failed = |entry: &Entry| {
        matches!(&entry.state, ContainerState::Terminated(end) if end.code != 0) && entry.over
    };
    if !pages.initialized {
        return if pages.init.values().any(failed) { "Failed" } else { "Pending" };
    }
    let all_over = !pages.main.is_empty() && pages.main.values().all(|entry| entry.over);
    if all_over {
        return if pages.main.values().any(failed) { "Failed" } else { "Succeeded" };
    }
    let begun = |entry: &Entry| entry.restarts > 0 || !matches!(entry.state, ContainerState::Waiting { .. });
    if pages.main.values().all(begun) { "Running" } else { "Pending" }
}

/// The patch of status for what the book says. Remembers in the book since when each condition holds.
pub(crate) fn patch(pod: &Pod, pages: &mut Pages, facts: Facts) -> Value {
    let phase = phase(pages);
    let over = matches!(phase, "Succeeded" | "Failed");
    let ready = pages.initialized && !over && pages.main.values().all(|entry| entry.ready);
    let running = pages.refused.is_none();
    let mut conditions = Vec::new();
    for (kind, holds) in [
        ("PodReadyToStartContainers", running),
        ("Initialized", pages.initialized),
        ("ContainersReady", ready),
        ("Ready", ready),
    ] {
        let held = pages.conditions.entry(kind).or_insert((holds, facts.now));
        if held.0 != holds {
            *held = (holds, facts.now);
        }
        let mut condition = json!({
            "type": kind,
            "status": if holds { "True" } else { "False" },
            "lastTransitionTime": second(held.1),
        });
        if !holds {
            condition["reason"] = match (kind, over, pages.refused.is_some()) {
                (_, _, true) => "NotSupported".into(),
                (_, true, _) => "PodCompleted".into(),
                ("Initialized", ..) => "ContainersNotInitialized".into(),
                _ => "ContainersNotReady".into(),
            };
        }
        conditions.push(condition);
    }
    let spec = pod.spec.clone().unwrap_or_default();
    let list = |containers: &[Container],
                entries: &std::collections::BTreeMap<String, Entry>,
                init: bool|
     -> Vec<Value> {
        containers
            .iter()
            .map(|container| {
                let entry = entries.get(&container.name).cloned().unwrap_or_default();
                container_status(container, &entry, init)
            })
            .collect()
    };
    let mut status = json!({
        "phase": phase,
        "conditions": conditions,
        "hostIP": facts.node_address,
        "hostIPs": [{ "ip": facts.node_address }],
        "startTime": second(facts.opened),
        "containerStatuses": list(&spec.containers, &pages.main, false),
    });
    if let Some(init) = spec.init_containers.filter(|list| !list.is_empty()) {
        status["initContainerStatuses"] = list(&init, &pages.init, true).into();
    }
    if let Some(address) = facts.address {
        status["podIP"] = json!(address);
        status["podIPs"] = json!([{ "ip": address }]);
    }
    if let Some((reason, message)) = &pages.refused {
        status["reason"] = json!(reason);
        status["message"] = json!(message);
    }
    json!({ "metadata": { "uid": pod.metadata.uid }, "status": status })
}

/// Whether the API server shows a condition otherwise than it was reported last.
pub(crate) fn is_untrue(pod: &Pod, pages: &Pages) -> bool {
    let shown = |kind: &str| {
        let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.find(|condition| condition.type_ == kind).map(|condition| condition.status == "True")
    };
    pages.conditions.iter().any(|(kind, (holds, _))| shown(kind) != Some(*holds))
}

fn container_status(container: &Container, entry: &Entry, init: bool) -> Value {
    let done = init && matches!(&entry.state, ContainerState::Terminated(end) if end.code == 0);
    let mut status = json!({
        "name": container.name,
        "image": container.image,
        // There is no image, only a binary of this machine; the reference is what can be said truly.
        "imageID": container.image,
        "ready": entry.ready || done,
        "started": entry.started,
        "restartCount": entry.restarts,
        "state": state(&entry.state),
        "lastState": entry.last.as_ref().map_or_else(|| json!({}), |end| json!({ "terminated": terminated(end) })),
    });
    match &entry.state {
        ContainerState::Running { pid, .. } => status["containerID"] = format!("process://{pid}").into(),
        ContainerState::Terminated(end) => status["containerID"] = format!("process://{}", end.pid).into(),
        ContainerState::Waiting { .. } => {}
    }
    status
}

fn state(state: &ContainerState) -> Value {
    match state {
        ContainerState::Waiting { reason, message } => {
            json!({ "waiting": { "reason": reason, "message": message } })
        }
        ContainerState::Running { since, .. } => json!({ "running": { "startedAt": second(*since) } }),
        ContainerState::Terminated(end) => json!({ "terminated": terminated(end) }),
    }
}

fn terminated(end: &Termination) -> Value {
    json!({
        "exitCode": end.code,
        "signal": end.signal,
        "reason": if end.code == 0 { "Completed" } else { "Error" },
        "message": end.message,
        "startedAt": second(end.started),
        "finishedAt": second(end.finished),
        "containerID": format!("process://{}", end.pid),
    })
}

/// Kubernetes' times have no fractions of a second.
pub(crate) fn second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).map_or_else(|_| time.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(code: i32) -> ContainerState {
        let at = Timestamp::UNIX_EPOCH;
        ContainerState::Terminated(Termination {
            code,
            signal: None,
            pid: 1,
            started: at,
            finished: at,
            message: String::new(),
        })
    }

    fn pages(entries: &[(ContainerState, bool)]) -> Pages {
        let main = entries.iter().enumerate().map(|(index, (state, over))| {
            (format!("c{index}"), Entry { state: state.clone(), over: *over, ..Entry::default() })
        });
        Pages { main: main.collect(), initialized: true, ..Pages::default() }
    }

    #[test]
    fn phases_follow_restart_policy() {
        let running = ContainerState::Running { pid: 1, since: Timestamp::UNIX_EPOCH };
        let waiting = Entry::default().state;
        assert_eq!(phase(&pages(&[(waiting.clone(), false)])), "Pending");
        assert_eq!(phase(&pages(&[(running.clone(), false), (end(0), true)])), "Running");
        assert_eq!(phase(&pages(&[(end(0), true), (end(0), true)])), "Succeeded");
        assert_eq!(phase(&pages(&[(end(0), true), (end(3), true)])), "Failed");
        assert_eq!(phase(&pages(&[(end(3), false)])), "Running");
        let mut refused = pages(&[(waiting, false)]);
        refused.refused = Some(("NotSupported", "hostNetwork".into()));
        assert_eq!(phase(&refused), "Failed");
    }

    #[test]
    fn a_condition_that_somebody_else_changed_is_untrue() {
        let pod = |ready: &str| -> Pod {
            let conditions = json!([
                { "type": "Initialized", "status": "True" },
                { "type": "Ready", "status": ready },
            ]);
            serde_json::from_value(json!({ "status": { "conditions": conditions } })).unwrap()
        };
        let mut pages = Pages::default();
        assert!(!is_untrue(&pod("False"), &pages), "nothing was reported yet");
        pages.conditions.insert("Initialized", (true, Timestamp::UNIX_EPOCH));
        pages.conditions.insert("Ready", (true, Timestamp::UNIX_EPOCH));
        assert!(!is_untrue(&pod("True"), &pages));
        assert!(is_untrue(&pod("False"), &pages));
        assert!(is_untrue(&Pod::default(), &pages));
    }

    #[test]
    fn a_condition_keeps_its_time_until_it_changes() {
        let pod: Pod = serde_json::from_value(
            json!({"metadata": {"uid": "u"}, "spec": {"containers": [{"name": "c0"}]}}),
        )
        .unwrap();
        let mut pages = pages(&[(ContainerState::Running { pid: 1, since: Timestamp::UNIX_EPOCH }, false)]);
        let at = |second| Facts {
            address: Some(Ipv4Addr::new(10, 244, 1, 2)),
            node_address: Ipv4Addr::new(10, 244, 1, 1),
            opened: Timestamp::UNIX_EPOCH,
            now: Timestamp::from_second(second).unwrap(),
        };
        let time = |patch: &Value| patch["status"]["conditions"][3]["lastTransitionTime"].clone();
        let first = patch(&pod, &mut pages, at(10));
        assert_eq!(time(&patch(&pod, &mut pages, at(20))), time(&first));
        if let Some(entry) = pages.main.get_mut("c0") {
            entry.ready = true;
        }
        assert_ne!(time(&patch(&pod, &mut pages, at(30))), time(&first));
    }
}

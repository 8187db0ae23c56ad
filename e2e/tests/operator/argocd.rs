//! The health check that docs/gitops.md gives to Argo CD, evaluated with the Lua that Argo CD uses, over releases as the API
//! server gives them.

use std::fmt::Write as _;

use placet_e2e::placet::{RELEASE, repository};
use serde_json::{Value, json};

use super::lending;

/// A JSON value as Lua writes it.
fn lua(value: &Value) -> String {
    let text = |text: &str| {
        let bytes = text.bytes().fold(String::new(), |mut out, byte| {
            let _ = write!(out, "\\{byte:03}");
            out
        });
        format!("\"{bytes}\"")
    };
    match value {
        Value::Null => "nil".to_owned(),
        Value::String(string) => text(string),
        Value::Array(items) => format!("{{{}}}", items.iter().map(lua).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("[{}] = {}", text(key), lua(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// The check of the ConfigMap, without its indentation.
async fn check() -> String {
    let file = repository().join("e2e/samples/gitops/argocd/argocd-cm.yaml");
    let text = tokio::fs::read_to_string(file).await.unwrap();
    let (_, check) = text.split_once("resource.customizations.health.placet.dev_ModelRelease: |\n").unwrap();
    check.lines().map(str::trim_start).collect::<Vec<_>>().join("\n")
}

/// Status and message that the check gives an object.
async fn health(object: &Value) -> (String, String) {
    let dir = repository().join("e2e/controlplane/lua");
    let script = format!(
        "obj = {}\nlocal function check()\n{}\nend\nlocal hs = check()\nprint(hs.status)\nprint(hs.message)\n",
        lua(object),
        check().await
    );
    let file = std::env::temp_dir().join(format!("placet-health-{}.lua", std::process::id()));
    tokio::fs::write(&file, script).await.unwrap();
    let run = tokio::process::Command::new("go")
        .args(["tool", "glua"])
        .arg(&file)
        .current_dir(dir)
        .env("GOFLAGS", "-mod=readonly")
        .env("CGO_ENABLED", "0")
        .kill_on_drop(true)
        .output();
    let said = run.await.unwrap();
    tokio::fs::remove_file(file).await.unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}{}", String::from_utf8_lossy(&said.stderr));
    (lines[0].to_owned(), lines[1].to_owned())
}

#[tokio::test]
async fn argo_cd_sees_a_release_as_the_page_says() {
    let Some(lending) = lending("argocd", None).await else { return };
    let get = ["get", "modelrelease", RELEASE, "-o", "json"];
    let read = async || -> Value {
        serde_json::from_str(&lending.kubectl("dana", &get).await.unwrap().ok().unwrap()).unwrap()
    };
    let condition = |object: &Value| -> Value {
        let all = object["status"]["conditions"].as_array().unwrap();
        all.iter().find(|c| c["type"] == "Cleared").unwrap().clone()
    };
    lending.all_documents().await.unwrap();
    lending.cleared("False").await.unwrap();
    let refused = read().await;
    let message = condition(&refused)["message"].as_str().unwrap().to_owned();
    assert_eq!(health(&refused).await, ("Suspended".to_owned(), message));

    // Nobody judged it yet.
    let mut bare = refused.clone();
    bare.as_object_mut().unwrap().remove("status");
    let not_yet = ("Progressing".to_owned(), "not judged yet".to_owned());
    assert_eq!(health(&bare).await, not_yet);
    bare["status"] = json!({});
    assert_eq!(health(&bare).await, not_yet);

    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending.cleared("True").await.unwrap();
    let cleared = read().await;
    assert_eq!(health(&cleared).await.0, "Healthy");
    // What was judged is an earlier spec: whatever it says, it says nothing of this one.
    let mut changed = cleared.clone();
    changed["metadata"]["generation"] = json!(cleared["metadata"]["generation"].as_i64().unwrap() + 1);
    assert_eq!(health(&changed).await, not_yet);
    // Not known is not cleared.
    let mut unknown = cleared.clone();
    for one in unknown["status"]["conditions"].as_array_mut().unwrap() {
        if one["type"] == "Cleared" {
            one["status"] = json!("Unknown");
        }
    }
    assert_eq!(health(&unknown).await.0, "Suspended");
    // Other conditions are not asked.
    let mut others = cleared.clone();
    others["status"]["conditions"].as_array_mut().unwrap().retain(|c| c["type"] != "Cleared");
    assert_eq!(health(&others).await, not_yet);
}

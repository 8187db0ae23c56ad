//! `make demo`: the main job, told in the terminal with real commands and their real output, on a real control plane.
//!
//! Each step says what must come out; a step that does not ends the demo with exit code 1. The transcript, the pulled
//! evidence and the log's public key are left under target/demo/. `DEMO_KEEP=0` stops the cluster at the end.

#![expect(
    clippy::disallowed_methods,
    reason = "a command-line program that tells a story: files and waiting are what it does"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use placet_e2e::placet::{APPROVERS, HEARD};
use placet_e2e::{Cluster, Options, Output, own_images};

#[path = "placet-demo/files.rs"]
mod files;
#[path = "placet-demo/kills.rs"]
mod kills;
#[path = "placet-demo/readme.rs"]
mod readme;
#[path = "placet-demo/telling.rs"]
mod telling;

use telling::{DONE, Teller, Told, check, now, prompt};

/// Tells the story of one model on a real control plane.
#[derive(Debug, Parser)]
struct Arguments {
    /// 0 stops the cluster at the end; anything else leaves it running and says how to look around.
    #[arg(long, env = "DEMO_KEEP", default_value = "1")]
    keep: String,
    /// Where transcript, evidence and cluster go.
    #[arg(long, default_value = "target/demo")]
    dir: PathBuf,
    /// A page whose section on the demo must quote nothing that was not said. For tests.
    #[arg(long, hide = true, value_name = "FILE")]
    quoted_in: Option<PathBuf>,
    /// Kill the operator during each command; the story must come out the same. For tests.
    #[arg(long, hide = true)]
    kill_operator: bool,
}

const SAMPLES: &str = "e2e/samples/adult";
const V1: &str = "credit-eligibility-1.0.0";
const V2: &str = "credit-eligibility-2.0.0";
const RULES: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations";

struct Demo {
    cluster: Cluster,
    teller: Teller,
    placet: PathBuf,
    kills: Option<kills::Kills>,
    /// What `placet approve` said of each object that was approved.
    described: BTreeMap<String, String>,
}

impl Demo {
    /// Runs a command as a person, shows it and its output, and holds it against what was told.
    async fn run(
        &mut self,
        who: &str,
        program: &str,
        args: &[&str],
        told: &Told<'_>,
    ) -> anyhow::Result<Output> {
        let command = prompt(who, program, args);
        self.teller.say(&format!("\n{command}"))?;
        let doing = async || Ok(self.cluster.run(program, who, args.iter().copied(), None).await?);
        let output = self.attempt(&command, told, doing).await?;
        self.show(&output)?;
        check(&output, told)?;
        Ok(output)
    }

    /// Does what a command does once; where the operator is killed meanwhile, until it comes out as told.
    async fn attempt(
        &self,
        command: &str,
        told: &Told<'_>,
        doing: impl AsyncFn() -> anyhow::Result<Output>,
    ) -> anyhow::Result<Output> {
        match &self.kills {
            Some(kills) => kills.during(&self.cluster, (self.teller.step(), command), told, doing).await,
            None => doing().await,
        }
    }

    fn show(&mut self, output: &Output) -> anyhow::Result<()> {
        for text in [&output.stderr, &output.stdout] {
            let text = text.trim_end();
            if !text.is_empty() {
                self.teller.say(text)?;
            }
        }
        Ok(())
    }

    /// Shows output whose first lines were shown before: they are left out in the terminal.
    fn show_in_short(&mut self, output: &Output, again: &str) -> anyhow::Result<()> {
        let all = format!("{}{}", output.stderr, output.stdout);
        let all = all.trim_end();
        let Some(rest) = all.strip_prefix(again) else { return self.teller.say(all) };
        let left_out = again.lines().count();
        self.teller.say_in_short(
            all,
            &format!("  … ({left_out} lines, as above)\n{}", rest.trim_start_matches('\n')),
        )
    }

    async fn kubectl(&mut self, who: &str, args: &[&str], told: &Told<'_>) -> anyhow::Result<Output> {
        self.run(who, "kubectl", args, told).await
    }

    async fn placet(&mut self, who: &str, args: &[&str], told: &Told<'_>) -> anyhow::Result<Output> {
        self.run(who, "placet", args, told).await
    }

    /// Waits until a command's output holds a text, at most a minute, and shows the last one.
    async fn until(&mut self, who: &str, args: &[&str], text: &str) -> anyhow::Result<Duration> {
        let begun = now();
        let output = self.until_quietly(who, args, text).await?;
        let waited = begun.elapsed();
        self.teller.say(&format!("\n{}", prompt(who, "kubectl", args)))?;
        self.show(&output)?;
        Ok(waited)
    }

    /// The same without a word.
    async fn until_quietly(&mut self, who: &str, args: &[&str], text: &str) -> anyhow::Result<Output> {
        let begun = now();
        loop {
            let output = self.cluster.run("kubectl", who, args.iter().copied(), None).await?;
            if output.stdout.contains(text) {
                return Ok(output);
            }
            if begun.elapsed() > Duration::from_secs(60) {
                self.show(&output)?;
                bail!("wanted {text:?} within 60 s of `{}`", output.command);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes a TestReport from a table of counts and applies it.
    async fn report(&mut self, version: &str, artifact: &str) -> anyhow::Result<()> {
        let counts = format!("{SAMPLES}/counts-{version}.csv");
        let name = format!("credit-eligibility-{version}-bias");
        let args = [
            "report",
            "counts",
            counts.as_str(),
            "--artifact",
            artifact,
            "--dataset",
            DATASET,
            "--tool",
            "fairlearn@0.15.0",
            "--positive-means",
            "Favourable",
            "--name",
            name.as_str(),
            "-n",
            "lending",
        ];
        let command = format!("{} | kubectl apply -n lending -f -", prompt("vera", "placet", &args));
        self.teller.say(&format!("\n{command}"))?;
        let made = self.cluster.run("placet", "vera", args, None).await?.ok()?;
        let apply = ["apply", "-n", "lending", "-f", "-"];
        let doing = async || Ok(self.cluster.kubectl_with_input("vera", apply, &made).await?);
        let applied = self.attempt(&command, &DONE, doing).await?;
        self.show(&applied)?;
        check(&applied, &DONE)
    }

    async fn approve(&mut self, who: &str, target: &str, role: &str, more: &[&str]) -> anyhow::Result<()> {
        let mut args = vec!["approve", target, "--role", role, "-n", "lending", "--yes"];
        args.extend(more);
        let command = prompt(who, "placet", &args);
        self.teller.say(&format!("\n{command}"))?;
        let doing = async || Ok(self.cluster.run("placet", who, args.iter().copied(), None).await?);
        let output = self.attempt(&command, &DONE, doing).await?;
        // What is approved is shown to each of them; a reader wants to see it once.
        let again = self.described.get(target).cloned().unwrap_or_default();
        if again.is_empty() {
            self.show(&output)?;
        } else {
            self.show_in_short(&output, &again)?;
        }
        if let Some(end) = output.stderr.find("You, ") {
            self.described.insert(target.to_owned(), output.stderr[..end].to_owned());
        }
        check(&output, &DONE)
    }
}

/// The evaluation dataset: `adult.test` of UCI Adult.
const DATASET: &str = "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05";
const WEIGHTS_1: &str = "sha256:3ecc933942d7d90aa05aaf3da6798f19d4af1815b0890de094d100d7feae14d7";
const WEIGHTS_2: &str = "sha256:7f06e302437f15f850ca6cc36a5159a1d73ce72eff7a528abc8a973dbcd260a1";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match tell(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo did not come out as told: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn tell(arguments: &Arguments) -> anyhow::Result<()> {
    let keep = arguments.keep != "0";
    let dir = &arguments.dir;
    let cluster_dir = dir.join("cluster");
    if let Ok(running) = Cluster::join(&cluster_dir) {
        running.shut_down().await?;
    }
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("emptying {}", dir.display()))?;
    }
    fs::create_dir_all(dir)?;
    let transcript = fs::File::create(dir.join("transcript.txt"))?;
    let options = Options {
        dir: Some(cluster_dir.clone()),
        images: own_images(),
        progress: true,
        ..Options::default()
    };
    let cluster =
        if keep { Cluster::start_detached(options).await? } else { Cluster::start(options).await? };
    let placet = std::env::current_exe()?.with_file_name("placet");
    let kills = arguments.kill_operator.then(kills::Kills::default);
    let mut demo =
        Demo { cluster, teller: Teller::new(transcript), placet, kills, described: BTreeMap::new() };
    let told = story(&mut demo, dir).await;
    if let Some(kills) = &demo.kills {
        println!("\n{kills}");
    }
    let told = told.and_then(|()| match &arguments.quoted_in {
        Some(page) => readme::quoted(page, &dir.join("transcript.txt")),
        None => Ok(()),
    });
    if !keep {
        demo.cluster.shut_down().await?;
        return told;
    }
    let kubeconfig = demo.cluster.kubeconfig("root-admin")?;
    let placet_cluster = demo.placet.with_file_name("placet-cluster");
    let stop = format!("{} down --dir {}", placet_cluster.display(), demo.cluster.dir().display());
    if let Err(error) = told {
        bail!(
            "{error:#}\nThe cluster still runs, to look at what went wrong:\n  export KUBECONFIG={}\n  stop it: {stop}",
            kubeconfig.display()
        );
    }
    let kubectl = demo.cluster.tools().binary("kubectl");
    demo.teller.say(&format!(
        "\nLook around (everything still runs):\n  export KUBECONFIG={}\n  {} get mr,ais,ia,tr,apv,ra -n lending\n  \
         {} why mr/{V2} -n lending\n  stop it: {stop}\n\
         Left for you: {}/transcript.txt, {}/evidence (the log), {}/log.pub (its public key)",
        kubeconfig.display(),
        kubectl.display(),
        demo.placet.display(),
        dir.display(),
        dir.display(),
        dir.display(),
    ))
}

async fn story(demo: &mut Demo, dir: &Path) -> anyhow::Result<()> {
    install(demo).await?;
    refused(demo).await?;
    biased(demo).await?;
    released(demo).await?;
    softened(demo).await?;
    tampered(demo).await?;
    verified(demo, dir).await
}

async fn install(demo: &mut Demo) -> anyhow::Result<()> {
    demo.teller.chapter("The platform team installs Placet with Helm and opts a namespace in.")?;
    let values = demo.cluster.real_node_values();
    let values = values.to_string_lossy().into_owned();
    demo.run("root-admin", "helm", &["install", "placet-crds", "charts/placet-crds"], &DONE).await?;
    demo.kubectl("root-admin", &["create", "namespace", "lending"], &DONE).await?;
    let install = [
        "install",
        "placet",
        "charts/placet",
        "-n",
        "placet-system",
        "--create-namespace",
        "--wait",
        "--timeout",
        "120s",
        "-f",
        values.as_str(),
        "-f",
        "e2e/samples/demo-values.yaml",
    ];
    let command = "root-admin$ helm install placet charts/placet -n placet-system --create-namespace --wait -f e2e/samples/demo-values.yaml";
    demo.teller.say(&format!("\n{command}"))?;
    let begun = now();
    let doing = async || Ok(demo.cluster.run("helm", "root-admin", install, None).await?);
    let output = match &demo.kills {
        Some(kills) => kills.during_its_start(&demo.cluster, (demo.teller.step(), command), doing).await?,
        None => doing().await?,
    };
    check(&output, &DONE)?;
    demo.teller.say(&format!("installed and ready after {:.1} s", begun.elapsed().as_secs_f64()))?;
    // The operator applies them once it is ready, policies after the roles that they name.
    let ready = [
        "get",
        "releasepolicies",
        "-o",
        "jsonpath={.items[*].status.conditions[?(@.type=='Usable')].status}",
    ];
    demo.until_quietly("root-admin", &ready, "True True True").await?;
    demo.kubectl(
        "root-admin",
        &["get", "releasepolicies,approvalroles"],
        &Told { code: 0, says: &["executive"] },
    )
    .await?;
    demo.kubectl("root-admin", &["label", "namespace", "lending", "placet.dev/enforce=deny"], &DONE).await?;
    let edit = [
        "create",
        "rolebinding",
        "data-science-edit",
        "--clusterrole=edit",
        "--group=data-science",
        "-n",
        "lending",
    ];
    demo.kubectl("root-admin", &edit, &DONE).await?;
    Ok(())
}

async fn refused(demo: &mut Demo) -> anyhow::Result<()> {
    demo.teller.chapter(
        "dana, a data scientist, registers a High-class system and its first release, and deploys it.",
    )?;
    let m = |name: &str| format!("{SAMPLES}/manifests/{name}.yaml");
    let (system, assessment, datasets) = (m("system"), m("assessment"), m("datasets"));
    let mut apply = vec!["apply", "--server-side"];
    let release = m("release-v1");
    for file in [&system, &assessment, &datasets, &release] {
        apply.extend(["-f", file]);
    }
    demo.kubectl("dana", &apply, &DONE).await?;
    demo.until("dana", &["get", "mr", "-n", "lending"], "False").await?;
    let all = ["is not cleared: 5 of 14 gates are open", "Bias", "R1 is High", "model-owner", "placet why"];
    demo.kubectl("dana", &["apply", "-f", &m("deployment-v1")], &Told { code: 1, says: &all }).await?;
    demo.teller.say("\nRefused, with everything that is missing at once. Grouped by who can act:")?;
    demo.placet(
        "dana",
        &["why", &format!("mr/{V1}"), "-n", "lending"],
        &Told { code: 1, says: &["executive"] },
    )
    .await?;
    Ok(())
}

async fn biased(demo: &mut Demo) -> anyhow::Result<()> {
    demo.teller.chapter("The findings are supplied by those entitled to. First what a bias test must look at: erin confirms it.")?;
    demo.approve(
        "erin",
        "ais/credit-eligibility",
        "risk-officer",
        &["--covers", "Content", "--comment", "sex is the attribute to compare"],
    )
    .await?;
    demo.teller.chapter("vera, an independent validator, tests v1: counts by group from a logistic regression on UCI Adult. Placet computes the verdict.")?;
    demo.report("v1", WEIGHTS_1).await?;
    let performance = format!("{SAMPLES}/manifests/report-performance-v1.yaml");
    demo.kubectl("vera", &["apply", "-f", &performance], &DONE).await?;
    demo.until(
        "dana",
        &["get", "mr", V1, "-n", "lending", "-o", "jsonpath={.status.gates[?(@.gate==\"tests\")].reason}"],
        "TestFailed",
    )
    .await?;
    let deployment = format!("{SAMPLES}/manifests/deployment-v1.yaml");
    let says = ["selection-rate ratio", "0.31", "at least 0.80"];
    demo.kubectl("dana", &["apply", "-f", &deployment], &Told { code: 1, says: &says }).await?;
    demo.teller.say(
        "\nThe selection rate of women is 0.31 of that of men (the whole interval lies below 0.80), so the test fails: no \
         approval changes that, and deleting the report does not either:",
    )?;
    let delete = ["delete", "testreport", "credit-eligibility-v1-bias", "-n", "lending"];
    demo.kubectl("root-admin", &delete, &Told { code: 1, says: &["was read by the decision"] }).await?;
    Ok(())
}

async fn released(demo: &mut Demo) -> anyhow::Result<()> {
    demo.teller.chapter("v2, mitigated with Fairlearn (thresholds by sex). The namespace now holds instead of refusing, so that everything can be applied together.")?;
    demo.kubectl(
        "root-admin",
        &["label", "namespace", "lending", "placet.dev/enforce=hold", "--overwrite"],
        &DONE,
    )
    .await?;
    let m = |name: &str| format!("{SAMPLES}/manifests/{name}.yaml");
    demo.kubectl("dana", &["apply", "--server-side", "-f", &m("release-v2")], &DONE).await?;
    demo.report("v2", WEIGHTS_2).await?;
    demo.kubectl("vera", &["apply", "-f", &m("report-performance-v2")], &DONE).await?;
    demo.until("dana", &["get", "mr", V2, "-n", "lending"], "riskAcceptance,approvals").await?;
    let beside = Told { code: 0, says: &["not binding (sex)", "equal-opportunity "] };
    demo.kubectl("dana", &["get", "mr", V2, "-n", "lending", "-o", "jsonpath={.status.notes[*]}"], &beside)
        .await?;
    demo.teller.say(
        "\nThe bias test passes: only the selection-rate ratio binds (MinMax, 0.80, sex). Equal opportunity is computed and \
         shown, not binding: with base rates of 0.11 and 0.30 (women, men), parity of selection and parity of error rates \
         cannot both hold; a policy says which one binds, and why.",
    )?;
    let held = Told { code: 0, says: &["is not cleared"] };
    demo.kubectl("dana", &["apply", "-f", &m("deployment-v2")], &held).await?;
    demo.until("dana", &["get", "pods", "-n", "lending"], "SchedulingGated").await?;
    demo.until("dana", &["get", "events", "-n", "lending", "--field-selector", "reason=PodHeld"], "PodHeld")
        .await?;

    demo.teller.chapter(
        "The residual risk is accepted and the approvals arrive, each by the person who holds the role.",
    )?;
    let accept = [
        "accept-risk",
        "ia/credit-eligibility-2026",
        "R1",
        "--role",
        "executive",
        "--until",
        "2027-03-31",
        "--rationale",
        "A person reviews each refusal within two days",
        "-n",
        "lending",
        "--yes",
    ];
    demo.placet("frank", &accept, &DONE).await?;
    demo.teller.say(
        "\nBefore an executive's acceptance of a high risk counts, those are heard whose field it is:",
    )?;
    for (who, role) in APPROVERS.iter().filter(|(_, role)| HEARD.contains(role)) {
        demo.approve(who, "ra/credit-eligibility-2026-r1", role, &[]).await?;
    }
    demo.teller.say("\nThe assessment itself is approved before any release that rests on it:")?;
    demo.approve("erin", "ia/credit-eligibility-2026", "risk-officer", &[]).await?;
    let release = format!("mr/{V2}");
    demo.placet(
        "dana",
        &["approve", &release, "--role", "model-owner", "-n", "lending", "--yes"],
        &Told { code: 2, says: &["model-owner"] },
    )
    .await?;
    demo.teller.say("\ndana wrote the release and holds no role: refused. The others:")?;
    for (who, role) in APPROVERS.iter().filter(|(_, role)| *role != "executive") {
        demo.approve(who, &release, role, &[]).await?;
    }
    demo.kubectl("dana", &["get", "pods", "-n", "lending"], &Told { code: 0, says: &["SchedulingGated"] })
        .await?;
    demo.approve("frank", &release, "executive", &[]).await?;
    let waited = demo.until("dana", &["get", "pods", "-n", "lending"], "Running").await?;
    demo.teller.say(&format!(
        "\nThe last piece exists, and the held pod runs ({:.1} s after the last approval).",
        waited.as_secs_f64()
    ))?;
    demo.until("dana", &["get", "mr", "-n", "lending"], "True").await?;
    Ok(())
}

async fn softened(demo: &mut Demo) -> anyhow::Result<()> {
    demo.teller.chapter(
        "Now that everybody has approved, dana lowers the residual risk in the assessment, so that nobody would have to \
         accept it.",
    )?;
    let patch = |likelihood: u8, severity: u8| {
        format!(
            r#"[{{"op":"replace","path":"/spec/risks/0/residual","value":{{"likelihood":{likelihood},"severity":{severity}}}}}]"#
        )
    };
    let (lowered, as_it_was) = (patch(1, 1), patch(2, 4));
    let edit = ["patch", "ia", "credit-eligibility-2026", "-n", "lending", "--type", "json", "-p"];
    let with = |value| edit.into_iter().chain([value]).collect::<Vec<&str>>();
    demo.kubectl("dana", &with(&lowered), &DONE).await?;
    demo.until("dana", &["get", "mr", V2, "-n", "lending"], "approvals").await?;
    demo.placet(
        "dana",
        &["why", &format!("mr/{V2}"), "-n", "lending"],
        &Told { code: 1, says: &["credit-eligibility-2026: spec.risks[R1].residual", "ContentChanged"] },
    )
    .await?;
    demo.teller.say(
        "\nThey approved the release with its assessment, its reports and what the policy asks: all are asked again, and the \
         finding names the fields. As it was, it is what they approved:",
    )?;
    demo.kubectl("dana", &with(&as_it_was), &DONE).await?;
    demo.until("dana", &["get", "mr", V2, "-n", "lending"], "True").await?;
    Ok(())
}

async fn tampered(demo: &mut Demo) -> anyhow::Result<()> {
    demo.teller.chapter("dana tries to edit the released content.")?;
    let edit =
        ["patch", "mr", V2, "-n", "lending", "--type", "merge", "-p", r#"{"spec":{"version":"2.0.1"}}"#];
    demo.kubectl("dana", &edit, &Told { code: 1, says: &["immutable"] }).await?;
    demo.teller.chapter("A cluster-admin lifts the immutability rule of the definition, edits the release, and puts the rule back.")?;
    let crd = "modelreleases.placet.dev";
    let path = "jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.x-kubernetes-validations}";
    let rules =
        demo.cluster.run("kubectl", "root-admin", ["get", "crd", crd, "-o", path], None).await?.ok()?;
    let lift = format!(r#"[{{"op":"remove","path":"{RULES}"}}]"#);
    demo.kubectl("root-admin", &["patch", "crd", crd, "--type", "json", "-p", &lift], &DONE).await?;
    let command = prompt("root-admin", "kubectl", &edit);
    let edit = async || Ok(demo.cluster.run("kubectl", "root-admin", edit, None).await?);
    let begun = now();
    // The API server takes a moment to use the changed definition.
    while demo.attempt(&command, &DONE, edit).await?.code != 0 {
        if begun.elapsed() > Duration::from_secs(60) {
            bail!("the definition without the rule was not in use after 60 s");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    demo.teller.say(&format!("\n{command}\nmodelrelease.placet.dev/{V2} patched"))?;
    let back = format!(r#"[{{"op":"add","path":"{RULES}","value":{rules}}}]"#);
    let back = ["patch", "crd", crd, "--type", "json", "-p", &back];
    let command = "root-admin$ kubectl patch crd modelreleases.placet.dev --type json -p '[{\"op\":\"add\",…the rules, as they were…}]'";
    let doing = async || Ok(demo.cluster.run("kubectl", "root-admin", back, None).await?);
    let output = demo.attempt(command, &DONE, doing).await?;
    check(&output, &DONE)?;
    demo.teller.say(&format!("\n{command}"))?;
    demo.show(&output)?;
    demo.until("dana", &["get", "mr", "-n", "lending"], "approvals").await?;
    demo.placet(
        "dana",
        &["why", &format!("mr/{V2}"), "-n", "lending"],
        &Told { code: 1, says: &["spec.version", "ContentChanged"] },
    )
    .await?;
    demo.teller.say(
        "\nNo longer cleared: every approval was for another content, and the finding names the field.",
    )?;
    Ok(())
}

async fn verified(demo: &mut Demo, dir: &Path) -> anyhow::Result<()> {
    demo.teller
        .chapter("audrey, an auditor, pulls the evidence and verifies it without trusting the operator.")?;
    let evidence = dir.join("evidence");
    let key_file = dir.join("log.pub");
    let key = demo.placet("audrey", &["evidence", "key"], &DONE).await?;
    fs::write(&key_file, &key.stdout)?;
    let (evidence_text, key_text) =
        (evidence.to_string_lossy().into_owned(), key_file.to_string_lossy().into_owned());
    // What is durable is published, and can be pulled, after half a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    demo.placet("audrey", &["evidence", "pull", "--to", &evidence_text], &DONE).await?;
    demo.placet("audrey", &["evidence", "verify", &evidence_text, "--key", &key_text], &DONE).await?;
    demo.teller.say(
        "\nWithout a key from elsewhere it says only that the log is consistent with itself, and exits 3:",
    )?;
    demo.placet(
        "audrey",
        &["evidence", "verify", &evidence_text],
        &Told { code: 3, says: &["not authenticated"] },
    )
    .await?;
    demo.teller.chapter("The life of the release.")?;
    let release = format!("mr/{V2}");
    let show =
        ["evidence", "show", release.as_str(), "-n", "lending", "--dir", &evidence_text, "--key", &key_text];
    demo.placet("audrey", &show, &Told { code: 0, says: &["cleared", "hold lifted"] }).await?;
    demo.teller.chapter("One byte of a copy is flipped.")?;
    let copy = dir.join("evidence-flipped");
    files::copy_dir(&evidence, &copy)?;
    let victim = files::first_file(&copy.join("tile/entries"))?.context("no entries in the pulled log")?;
    let mut bytes = fs::read(&victim)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&victim, bytes)?;
    demo.teller.say(&format!(
        "flipped one bit of byte {middle} of {}",
        victim.strip_prefix(dir).unwrap_or(&victim).display()
    ))?;
    let copy_text = copy.to_string_lossy().into_owned();
    demo.placet(
        "audrey",
        &["evidence", "verify", &copy_text, "--key", &key_text],
        &Told { code: 1, says: &["TAMPERED"] },
    )
    .await?;
    demo.teller.say("\nFound.")
}

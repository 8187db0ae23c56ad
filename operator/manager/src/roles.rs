//! Asks again whether those who approved and accepted risks still hold the role that they did it in, where a policy says
//! that losing it voids. The answer becomes part of the object as it is read ([`State::read`]), and so of each decision's
//! inputs. What was lost counts again once it is held again: a binding may be replaced by mistake, and mended. Each loss and
//! each regain is a record of its own, durable before any decision hears of it, and read back at start, so that it is one.
//!
//! What is asked is whether the API server's rules allow it to the user, with the groups that they had when they gave their
//! word. That somebody has left a group at the identity provider is not to be seen from here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Client;
use placet_api::Kind;
use placet_api::approval::ApprovalDecision;
use placet_api::keys::VERB_APPROVE;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_evidence::{
    AppendError, HOLDER, MOST_WORDS, NewRecord, Object as Stored, Payload, Record as LogRecord, RoleStanding,
    Subject, Word,
};
use placet_gate::object::{Record, Stamp, Standing};
use placet_gate::signature::{Decided, Trust};
use tokio::time::Instant;

use crate::access;
use crate::admission::review::UserInfo;
use crate::affected;
use crate::infra::freshness::Freshness;
use crate::infra::supervisor::Shutdown;
use crate::ledger::{Ledger, Repeat};
use crate::queue::Queue;
use crate::state::State;

/// How often everybody is asked about.
const EVERY: Duration = Duration::from_secs(30);
/// When somebody who held the role the last time and seems to have lost it is asked about again: a binding that is replaced
/// is gone for a moment.
const SURE: Duration = Duration::from_secs(5);
/// When it is tried again at start, where decisions wait for it.
const AGAIN: Duration = Duration::from_millis(500);
/// Questions that are open at once; each is two requests.
const AT_ONCE: usize = 4;
/// Every authenticated user is in it, and stamps leave it out.
const EVERYBODY: &str = "system:authenticated";

/// The name under which decisions wait for the first answers.
const NAME: &str = "whether roles are still held";

/// An object whose giver is asked about.
type Place = (Kind, String, String);

/// Whether a user still holds a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    user: String,
    groups: Vec<String>,
    role: String,
    /// Where it is asked; None: cluster-wide.
    namespace: Option<String>,
    /// Whether they held it by a wildcard only.
    wildcard: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Yes,
    /// They seem to have lost it.
    Doubtful,
    No,
}

/// Keeps asking.
pub struct RoleKeeper {
    state: Arc<State>,
    queue: Arc<Queue>,
    client: Client,
    ledger: Arc<Ledger>,
    known: Freshness,
    held: BTreeMap<Question, Held>,
}

impl std::fmt::Debug for RoleKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoleKeeper").field("held", &self.held).finish_non_exhaustive()
    }
}

impl RoleKeeper {
    /// Decisions wait until it has asked once.
    pub fn new(state: Arc<State>, queue: Arc<Queue>, client: Client, ledger: Arc<Ledger>) -> Self {
        // Once it was asked, what was answered stays until something else is: an API server that does not answer is found by
        // the watches.
        let known = Freshness::new(NAME, Duration::MAX);
        state.add_store(known.clone());
        Self { state, queue, client, ledger, known, held: BTreeMap::new() }
    }

    /// Asks until `shutdown`.
    ///
    /// # Errors
    /// None; the type is that of a task.
    pub async fn run(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        loop {
            let others = self.state.store_problems().iter().any(|problem| problem != NAME);
            let pause = if others && !self.known.is_live() { AGAIN } else { self.round().await };
            tokio::select! {
                () = shutdown.wait() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Asks about everybody once. Gives the time until it is to be done again.
    async fn round(&mut self) -> Duration {
        let begun = Instant::now();
        let wanted = self.wanted();
        let asking = wanted.keys().cloned().map(|question| {
            let (state, client) = (Arc::clone(&self.state), self.client.clone());
            async move {
                let answer = ask(&state, &client, &question).await;
                (question, answer)
            }
        });
        let answers: Vec<_> = futures::stream::iter(asking).buffer_unordered(AT_ONCE).collect().await;
        let mut held = BTreeMap::new();
        let mut unanswered = 0_usize;
        for (question, answer) in answers {
            let before = self.held.get(&question).copied();
            let now = match answer {
                Ok(true) => Some(Held::Yes),
                Ok(false) if before == Some(Held::Yes) => Some(Held::Doubtful),
                Ok(false) => Some(Held::No),
                Err(error) => {
                    unanswered += 1;
                    tracing::warn!(
                        role = question.role,
                        error = format!("{error:#}"),
                        "could not ask who still holds a role"
                    );
                    before
                }
            };
            held.extend(now.map(|now| (question, now)));
        }
        let doubtful = held.values().any(|h| *h == Held::Doubtful);
        self.held = held;
        if unanswered > 0 && !self.known.is_live() {
            return AGAIN;
        }
        let told = self.tell(&wanted).await;
        if !told && !self.known.is_live() {
            return AGAIN;
        }
        self.known.mark_listed(begun);
        if doubtful || !told { SURE } else { EVERY }
    }

    /// What is to be asked, and about which objects: of everybody whose approval or acceptance counted when it was given.
    fn wanted(&self) -> BTreeMap<Question, Vec<Place>> {
        let world = self.state.world();
        let mut wanted: BTreeMap<Question, Vec<Place>> = BTreeMap::new();
        if !world.deciding().any(|p| p.spec.as_ref().is_ok_and(ReleasePolicySpec::voids_on_role_loss)) {
            return wanted;
        }
        let names = Arc::clone(&self.state.names());
        let mut ask = |record: &Record, decided: Decided<'_>, standing: &Standing| {
            let (signers, remembered) = world.trust([record]);
            let trust = Trust { signers: &signers, remembered: &remembered };
            let Ok(standing) = trust.decider(record, decided, standing) else { return };
            let role = decided.role.to_string();
            let Some(user) = names.get(standing.creator.token()) else { return };
            if standing.holds_role != Some(true) {
                return;
            }
            let namespace = record.namespace.clone().unwrap_or_default();
            let question = Question {
                user: user.clone(),
                groups: standing.groups.clone(),
                namespace: access::asked_in(&world, &role, &namespace),
                role,
                wildcard: standing.by_wildcard,
            };
            wanted.entry(question).or_default().push((record.kind, namespace, record.name.clone()));
        };
        for (namespace, name) in world.names(Kind::Approval) {
            let Some(approval) = world.approval(&namespace, &name) else { continue };
            let (Ok(spec), Some(standing)) = (&approval.spec, approval.standing()) else { continue };
            if spec.decision != ApprovalDecision::Approve {
                continue;
            }
            ask(&approval.record, spec.into(), standing);
        }
        for (namespace, name) in world.names(Kind::RiskAcceptance) {
            let Some(acceptance) = world.acceptance(&namespace, &name) else { continue };
            if let (Ok(spec), Some(standing)) = (&acceptance.spec, acceptance.standing()) {
                ask(&acceptance.record, spec.into(), standing);
            }
        }
        wanted
    }

    /// Lets decisions know of what was lost and of what is held again, the record of it first. Whether all of it is told.
    async fn tell(&self, wanted: &BTreeMap<Question, Vec<Place>>) -> bool {
        let mut all = true;
        for (told, words) in self.news(wanted) {
            for words in words.chunks(MOST_WORDS) {
                match self.record(&told, words).await {
                    Ok(true) => self.take_effect(&told, words),
                    // Whoever gives a role and takes it away again and again waits until there is room for what that writes.
                    Ok(false) => {}
                    Err(error) => {
                        all = false;
                        let role = told.role.as_str();
                        tracing::warn!(role, %error, "what became of a role was not recorded; it will be tried again");
                    }
                }
            }
        }
        self.mend();
        all
    }

    /// Has decisions know what was told while an object was being read anew, and was overwritten by that.
    fn mend(&self) {
        for ((kind, namespace, name), content) in self.state.roles_lost() {
            let stale = |r: &Record| {
                r.digest.as_ref() == Ok(&content)
                    && matches!(&r.stamp, Stamp::Valid(standing) if !standing.role_lost)
            };
            let stale = {
                let world = self.state.world();
                crate::subjects::record_of(&world, kind, &namespace, &name).is_some_and(stale)
            };
            if stale {
                self.know(kind, &namespace, &name, &content, true);
            }
        }
    }

    /// What decisions do not know yet, by who it is about.
    fn news(&self, wanted: &BTreeMap<Question, Vec<Place>>) -> BTreeMap<Told, Vec<Word>> {
        let (known, world) = (self.state.roles_lost(), self.state.world());
        let mut news: BTreeMap<Told, Vec<Word>> = BTreeMap::new();
        for (question, places) in wanted {
            let lost = match self.held.get(question) {
                Some(Held::Yes) => false,
                Some(Held::No) => true,
                Some(Held::Doubtful) | None => continue,
            };
            for place in places {
                let (kind, namespace, name) = place;
                let Some(record) = crate::subjects::record_of(&world, *kind, namespace, name) else {
                    continue;
                };
                let Ok(content) = &record.digest else { continue };
                if known.get(place).is_some_and(|of| of == content) == lost {
                    continue;
                }
                let Some(said) = word(record, lost) else { continue };
                let told = Told {
                    lost,
                    user: question.user.clone(),
                    role: question.role.clone(),
                    held_in: question.namespace.clone(),
                    namespace: namespace.clone(),
                };
                news.entry(told).or_default().push(said);
            }
        }
        news
    }

    /// Records what became of a role. Not, if it gives back what was lost and the namespace has used up its budget: what takes
    /// away waits for nothing, and can follow only what gave.
    async fn record(&self, told: &Told, words: &[Word]) -> Result<bool, AppendError> {
        let now = self.state.now();
        if self.ledger.effective(&told.namespace, now) == Repeat::Exhausted && !told.lost {
            return Ok(false);
        }
        let body = RoleStanding {
            lost: told.lost,
            held_in: told.held_in.clone(),
            namespace: told.namespace.clone(),
            words: words.to_vec(),
        };
        let subject = Subject::new(Kind::ApprovalRole.as_str(), None, &told.role);
        let record =
            NewRecord::new(now, subject, Payload::RoleStanding(body)).with_personal(HOLDER, &told.user);
        self.ledger.append(record).await.map(|_| true)
    }

    /// Decisions know from now on.
    fn take_effect(&self, told: &Told, words: &[Word]) {
        tracing::info!(role = told.role, lost = told.lost, words = words.len(), "what became of a role");
        for word in words {
            let Some(kind) = Kind::parse(&word.kind) else { continue };
            let (namespace, name) = (told.namespace.as_str(), word.name.as_str());
            let content = told.lost.then(|| word.content.to_string());
            self.state.role_lost((kind, namespace.to_owned(), name.to_owned()), content);
            self.know(kind, namespace, name, &word.content.to_string(), told.lost);
        }
    }

    fn know(&self, kind: Kind, namespace: &str, name: &str, content: &str, lost: bool) {
        {
            let mut world = self.state.world_mut();
            let record = crate::subjects::record_of(&world, kind, namespace, name).cloned();
            let same = |r: &Record| r.digest.as_ref().is_ok_and(|d| d == content);
            let Some(mut record) = record.filter(same) else { return };
            if let Stamp::Valid(standing) = &mut record.stamp {
                standing.role_lost = lost;
            }
            world.apply(record);
        }
        self.queue.push(affected::affected(&self.state, kind, namespace, name));
    }
}

/// What became of a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    /// Lost roles first.
    lost: bool,
    user: String,
    role: String,
    held_in: Option<String>,
    namespace: String,
}

/// What a record says of an object of which this becomes known.
fn word(record: &Record, lost: bool) -> Option<Word> {
    let content = record.digest.as_ref().ok()?.parse().ok()?;
    let mut then = record.clone();
    if let Stamp::Valid(standing) = &mut then.stamp {
        standing.role_lost = lost;
    }
    let spec = record.spec.value();
    let text = |at: &str| spec.pointer(at).and_then(serde_json::Value::as_str).map(str::to_owned);
    let (about, about_name) = match record.kind {
        Kind::Approval => (text("/subject/kind")?, text("/subject/name")?),
        _ => (Kind::ImpactAssessment.to_string(), text("/assessment/name")?),
    };
    Some(Word {
        kind: record.kind.to_string(),
        name: record.name.clone(),
        content,
        about,
        about_name,
        version: Stored::new(serde_json::to_vec(&then).ok()?).digest(),
    })
}

/// Roles that were lost and are not held again, as the log says: what was said in them counts no more after a restart, too,
/// and is told once.
#[derive(Debug, Default)]
pub struct RoleMemory(BTreeMap<Place, String>);

impl RoleMemory {
    /// Takes one record in.
    pub fn visit(&mut self, record: &LogRecord) {
        let Payload::RoleStanding(told) = &record.payload else { return };
        for word in &told.words {
            let Some(kind) = Kind::parse(&word.kind) else { continue };
            let place = (kind, told.namespace.clone(), word.name.clone());
            if told.lost {
                self.0.insert(place, word.content.to_string());
            } else {
                self.0.remove(&place);
            }
        }
    }

    /// Tells what reads objects.
    pub fn recall(self, state: &State) {
        for (place, content) in self.0 {
            state.role_lost(place, Some(content));
        }
    }
}

/// Whether a user holds a role as they did when they gave their word.
async fn ask(state: &State, client: &Client, question: &Question) -> anyhow::Result<bool> {
    let groups = question.groups.iter().cloned().chain([EVERYBODY.to_owned()]).collect();
    let user = UserInfo { username: question.user.clone(), groups: Some(groups), ..UserInfo::default() };
    let (holds, by_wildcard) =
        access::holds_role(client, state, &user, (VERB_APPROVE, &question.role), question.namespace.clone())
            .await?;
    Ok(holds && (!by_wildcard || question.wildcard))
}

#[cfg(test)]
#[path = "roles_tests.rs"]
mod tests;

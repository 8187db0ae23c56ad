//! Asks again whether those who approved and accepted risks still hold the role that they did it in, where a policy says
//! that losing it voids. The answer becomes part of the object as it is read ([`State::read`]), and so of each decision's
//! inputs. What was lost counts again once it is held again: a binding may be replaced by mistake, and mended.
//!
//! What is asked is whether the API server's rules allow it to the user, with the groups that they had when they gave their
//! word. That somebody has left a group at the identity provider is not to be seen from here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Client;
use placet_api::Kind;
use placet_api::approval::ApprovalDecision;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_gate::object::{Record, Stamp, Standing};
use placet_gate::signature::{Decided, Trust};
use placet_gate::world::World;
use tokio::time::Instant;

use crate::access;
use crate::admission::review::UserInfo;
use crate::infra::freshness::Freshness;
use crate::infra::supervisor::Shutdown;
use crate::queue::Queue;
use crate::state::State;
use crate::stores;

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
    pub fn new(state: Arc<State>, queue: Arc<Queue>, client: Client) -> Self {
        // Once it was asked, what was answered stays until something else is: an API server that does not answer is found by
        // the watches.
        let known = Freshness::new(NAME, Duration::MAX);
        state.add_store(known.clone());
        Self { state, queue, client, known, held: BTreeMap::new() }
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
        let lost = wanted.iter().filter(|(question, _)| held.get(question) == Some(&Held::No));
        let lost: BTreeSet<Place> = lost.flat_map(|(_, places)| places.iter().cloned()).collect();
        self.held = held;
        if unanswered > 0 && !self.known.is_live() {
            return AGAIN;
        }
        self.tell(&lost);
        self.known.mark_listed(begun);
        if doubtful { SURE } else { EVERY }
    }

    /// What is to be asked, and about which objects: of everybody whose approval or acceptance counted when it was given.
    fn wanted(&self) -> BTreeMap<Question, Vec<Place>> {
        let world = self.state.world();
        let mut wanted: BTreeMap<Question, Vec<Place>> = BTreeMap::new();
        if !world.policies().any(|p| p.spec.as_ref().is_ok_and(ReleasePolicySpec::voids_on_role_loss)) {
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

    /// Lets decisions know what became of which object.
    fn tell(&self, lost: &BTreeSet<Place>) {
        let before = self.state.roles_lost(lost.clone());
        for (kind, namespace, name) in before.symmetric_difference(lost) {
            let is_lost = lost.contains(&(*kind, namespace.clone(), name.clone()));
            tracing::info!(
                kind = kind.as_str(),
                namespace,
                name,
                is_lost,
                "whether its giver has lost the role"
            );
            {
                let mut world = self.state.world_mut();
                let Some(mut record) = record_of(&world, *kind, namespace, name) else { continue };
                if let Stamp::Valid(standing) = &mut record.stamp {
                    standing.role_lost = is_lost;
                }
                world.apply(record);
            }
            self.queue.push(stores::affected(&self.state, *kind, namespace, name));
        }
    }
}

fn record_of(world: &World, kind: Kind, namespace: &str, name: &str) -> Option<Record> {
    crate::subjects::record_of(world, kind, namespace, name).cloned()
}

/// Whether a user holds a role as they did when they gave their word.
async fn ask(state: &State, client: &Client, question: &Question) -> anyhow::Result<bool> {
    let groups = question.groups.iter().cloned().chain([EVERYBODY.to_owned()]).collect();
    let user = UserInfo { username: question.user.clone(), groups: Some(groups), ..UserInfo::default() };
    let (holds, by_wildcard) =
        access::holds_role(client, state, &user, &question.role, question.namespace.clone()).await?;
    Ok(holds && (!by_wildcard || question.wildcard))
}

#[cfg(test)]
#[path = "roles_tests.rs"]
mod tests;

//! What is drawn: a policy for class High, what an assessment says, and what people do.

use proptest::prelude::*;
use proptest::sample::Index;

pub const ROBOT: &str = "system:serviceaccount:ci:robot";
/// The `o` is Cyrillic.
pub const LOOK_ALIKE: &str = "b\u{43e}b";
pub const PEOPLE: [&str; 14] = [
    "olga", "dana", "alice", "bob", "oidc:bob", "hugo", "vera", "carl", "erin", "gina", "frank", "lena",
    ROBOT, LOOK_ALIKE,
];
pub const OWNER: &str = "model-owner";
pub const ROLES: [&str; 5] = [OWNER, "risk", "executive", "legal", "assessor"];
/// Who has a key: the number of each is its place, from 1 on.
pub const SIGNERS: [&str; 7] = ["bob", "hugo", "carl", "erin", "gina", "frank", "lena"];
/// Levels of risks by rank.
pub const LEVELS: [&str; 5] = ["VeryLow", "Low", "Medium", "High", "VeryHigh"];

/// What must prove who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    Stamp,
    Credential,
    Signed,
}

/// Who may accept risks of a level.
#[derive(Debug, Clone, PartialEq)]
pub struct Authority {
    pub roles: Vec<&'static str>,
    pub every: bool,
    pub consulted: Vec<&'static str>,
    pub max_days: Option<i64>,
    pub proof: Proof,
}

/// Whether rules are said, left out (so that those of class High hold), or left out and the latter ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duties {
    Said,
    LeftOut,
    Ignored,
}

/// What a policy asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub owners: usize,
    /// Whether owner, risk officer and executive cover the evidence. None: it is not said.
    pub evidence: [Option<bool>; 3],
    /// What each of them shows.
    pub proof: [Proof; 3],
    /// Whether the assessment itself is approved.
    pub assessed: bool,
    pub max_age: Option<i64>,
    /// Rank of the highest level that needs no acceptance.
    pub appetite: usize,
    pub medium: Option<Authority>,
    pub high: Option<Authority>,
    /// Whether the executive approves where a risk stays High.
    pub executive: bool,
    pub author_may_approve: bool,
    pub one_role: Option<bool>,
    pub duties: Duties,
    pub wildcards: bool,
    pub aliases: bool,
    pub robot_may: bool,
    pub no_developers_as_risk: bool,
    pub void_on_loss: Option<bool>,
    pub to_cleared: bool,
}

impl Policy {
    /// This one, with the parts of another that a mask names.
    pub fn edited(&self, other: &Self, mask: u32) -> Self {
        let mut out = self.clone();
        let mut bit = 0;
        let mut take = |set: &mut dyn FnMut()| {
            if mask & (1 << bit) != 0 {
                set();
            }
            bit += 1;
        };
        take(&mut || out.owners = other.owners);
        take(&mut || out.evidence = other.evidence);
        take(&mut || out.proof = other.proof);
        take(&mut || out.assessed = other.assessed);
        take(&mut || out.max_age = other.max_age);
        take(&mut || out.appetite = other.appetite);
        take(&mut || out.medium.clone_from(&other.medium));
        take(&mut || out.high.clone_from(&other.high));
        take(&mut || out.executive = other.executive);
        take(&mut || out.author_may_approve = other.author_may_approve);
        take(&mut || out.one_role = other.one_role);
        take(&mut || out.duties = other.duties);
        take(&mut || out.wildcards = other.wildcards);
        take(&mut || out.aliases = other.aliases);
        take(&mut || out.robot_may = other.robot_may);
        take(&mut || out.no_developers_as_risk = other.no_developers_as_risk);
        take(&mut || out.void_on_loss = other.void_on_loss);
        take(&mut || out.to_cleared = other.to_cleared);
        out
    }
}

/// A risk with its one harm.
#[derive(Debug, Clone)]
pub struct Risk {
    pub text: u8,
    /// Likelihood, severity and reach.
    pub harm: (i64, i64, i64),
    pub residual: Option<(i64, i64)>,
    pub implemented: bool,
    /// Days from now until its control works.
    pub from: i64,
}

/// On what somebody decides.
#[derive(Debug, Clone)]
pub enum On {
    Release { as_asked: bool },
    System,
    Assessment,
    Acceptance(Index),
}

/// How somebody's word comes.
#[derive(Debug, Clone)]
pub struct Word {
    /// Whether it is signed, where whoever gives it has a key.
    pub signed: bool,
    pub holds: bool,
    pub wildcard: bool,
    pub credential: bool,
    pub group: Option<&'static str>,
    /// Days until it ends.
    pub ends: Option<i64>,
}

#[derive(Debug, Clone)]
pub enum SignerDeed {
    Revoke,
    /// Compromised since so many hours.
    Compromise(i64),
    Delete,
    Create,
    /// Roles by bit, and whether it names the group of those who are barred.
    Edit(u8, bool),
}

/// What somebody does.
#[derive(Debug, Clone)]
pub enum Deed {
    Create {
        content: u8,
        developers: Vec<usize>,
        signed: bool,
    },
    Delete,
    Withdraw,
    /// Or what some version of it said before.
    Assess(Box<[Risk; 2]>, Option<Index>),
    DeleteAssessment,
    EditSystem {
        title: u8,
    },
    RecreateSystem {
        title: u8,
    },
    EditPolicy(Box<Policy>, u32),
    Decide {
        on: On,
        role: usize,
        reject: bool,
        answers: Option<Index>,
        /// An answer is in the role of the Reject, of the same.
        fits: bool,
        word: Word,
    },
    Accept {
        role: usize,
        level: usize,
        risks: u8,
        word: Word,
    },
    DeleteDecision(Index),
    DeleteAcceptance(Index),
    Loses {
        role: usize,
        lost: bool,
    },
    Signer(usize, SignerDeed),
    /// What was signed is applied again, by a robot, once it was deleted.
    Replay(Index),
    Use,
    /// Everybody does what is missing.
    Mend(Mend),
}

/// How everybody does what is missing.
#[derive(Debug, Clone)]
pub struct Mend {
    /// Who does it, of those who could.
    pub turn: usize,
    /// What is left out, counted from 0.
    pub forgotten: Option<usize>,
    /// Whether nobody accepts a risk anew, or they accept less than it is.
    pub accepts: bool,
    pub low: bool,
    pub credential: bool,
    /// Days until all of it ends.
    pub ends: Option<i64>,
}

/// A deed, who does it, and how many hours after the one before.
pub type Step = (usize, u8, Deed);

fn often() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.9)
}

fn seldom() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.15)
}

fn proof() -> impl Strategy<Value = Proof> {
    prop_oneof![3 => Just(Proof::Stamp), 1 => Just(Proof::Credential), 2 => Just(Proof::Signed)]
}

fn authority() -> impl Strategy<Value = Authority> {
    let roles = prop::sample::select(vec![
        vec!["risk"],
        vec!["executive"],
        vec!["executive", "risk"],
        vec!["executive", "legal", "risk"],
    ]);
    let consulted = prop_oneof![
        2 => Just(vec![]),
        1 => Just(vec!["legal"]),
        1 => Just(vec!["assessor", "legal"]),
    ];
    let max = prop::option::weighted(0.4, 5_i64..40);
    (roles, any::<bool>(), consulted, max, proof()).prop_map(|(roles, every, consulted, max_days, proof)| {
        Authority { roles, every, consulted, max_days, proof }
    })
}

pub fn policy() -> impl Strategy<Value = Policy> {
    let covers = || prop::option::of(any::<bool>());
    let duties = prop_oneof![3 => Just(Duties::Said), 3 => Just(Duties::LeftOut), 1 => Just(Duties::Ignored)];
    (
        (1_usize..=2, [covers(), covers(), covers()], [proof(), proof(), proof()], any::<bool>()),
        (prop::option::of(10_i64..60), 1_usize..=3, prop::option::weighted(0.95, authority())),
        (prop::option::weighted(0.95, authority()), any::<bool>(), seldom(), prop::option::of(any::<bool>())),
        (duties, seldom(), often(), seldom(), any::<bool>()),
        (prop::option::of(any::<bool>()), prop::bool::weighted(0.3)),
    )
        .prop_map(|(a, b, c, d, e)| Policy {
            owners: a.0,
            evidence: a.1,
            proof: a.2,
            assessed: a.3,
            max_age: b.0,
            appetite: b.1,
            medium: b.2,
            high: c.0,
            executive: c.1,
            author_may_approve: c.2,
            one_role: c.3,
            duties: d.0,
            wildcards: d.1,
            aliases: d.2,
            robot_may: d.3,
            no_developers_as_risk: d.4,
            void_on_loss: e.0,
            to_cleared: e.1,
        })
}

pub fn risk() -> impl Strategy<Value = Risk> {
    let harm = prop::sample::select(vec![
        (1, 1, 1),
        (2, 3, 2),
        (3, 3, 2),
        (3, 3, 4),
        (3, 4, 2),
        (4, 4, 3),
        (4, 3, 5),
        (5, 5, 1),
    ]);
    let residual = prop::option::weighted(0.6, prop::sample::select(vec![(1, 1), (2, 3), (3, 3), (2, 5)]));
    (0_u8..2, harm, residual, often(), prop_oneof![3 => Just(-1_i64), 1 => 1_i64..6]).prop_map(
        |(text, harm, residual, implemented, from)| Risk {
            text,
            harm,
            residual: residual.map(|(l, s): (i64, i64)| (l.min(harm.0), s.min(harm.1))),
            implemented,
            from,
        },
    )
}

fn word() -> impl Strategy<Value = Word> {
    (
        (any::<bool>(), often(), prop::bool::weighted(0.1), often()),
        prop::option::weighted(0.15, prop::sample::select(vec!["auditors", "developers"])),
        prop::option::weighted(0.3, 1_i64..40),
    )
        .prop_map(|((signed, holds, wildcard, credential), group, ends)| Word {
            signed,
            holds,
            wildcard,
            credential,
            group,
            ends,
        })
}

fn decide() -> impl Strategy<Value = Deed> {
    let on = prop_oneof![
        6 => often().prop_map(|as_asked| On::Release { as_asked }),
        1 => Just(On::System),
        3 => Just(On::Assessment),
        3 => any::<Index>().prop_map(On::Acceptance),
    ];
    let answers = (prop::option::weighted(0.5, any::<Index>()), often());
    (on, 0..ROLES.len(), prop::bool::weighted(0.12), answers, word()).prop_map(
        |(on, role, reject, (answers, fits), word)| Deed::Decide { on, role, reject, answers, fits, word },
    )
}

fn signer() -> impl Strategy<Value = Deed> {
    let deed = prop_oneof![
        1 => Just(SignerDeed::Revoke),
        2 => (0_i64..60).prop_map(SignerDeed::Compromise),
        1 => Just(SignerDeed::Delete),
        2 => Just(SignerDeed::Create),
        2 => (1_u8..32, seldom()).prop_map(|(roles, barred)| SignerDeed::Edit(roles, barred)),
    ];
    (0..SIGNERS.len(), deed).prop_map(|(which, deed)| Deed::Signer(which, deed))
}

fn mend() -> impl Strategy<Value = Deed> {
    let forgotten = prop::option::weighted(0.15, 0_usize..12);
    let ends = prop::option::weighted(0.3, 3_i64..20);
    (0_usize..6, forgotten, prop::bool::weighted(0.8), seldom(), often(), ends).prop_map(
        |(turn, forgotten, accepts, low, credential, ends)| {
            Deed::Mend(Mend { turn, forgotten, accepts, low, credential, ends })
        },
    )
}

pub fn assess() -> impl Strategy<Value = Deed> {
    (risk(), risk(), prop::option::weighted(0.3, any::<Index>()))
        .prop_map(|(one, other, again)| Deed::Assess(Box::new([one, other]), again))
}

fn step() -> impl Strategy<Value = Step> {
    let mask = || 0_u32..(1 << 18);
    let few = (mask(), mask(), mask()).prop_map(|(a, b, c)| a & b & c);
    let deed = prop_oneof![
        8 => mend(),
        10 => decide(),
        4 => (0..ROLES.len(), 2_usize..4, 1_u8..4, word())
            .prop_map(|(role, level, risks, word)| Deed::Accept { role, level, risks, word }),
        2 => (0_u8..2, prop::collection::vec(0..PEOPLE.len(), 0..2), any::<bool>())
            .prop_map(|(content, developers, signed)| Deed::Create { content, developers, signed }),
        1 => Just(Deed::Delete),
        2 => assess(),
        1 => Just(Deed::DeleteAssessment),
        1 => (0_u8..2).prop_map(|title| Deed::EditSystem { title }),
        1 => (0_u8..2).prop_map(|title| Deed::RecreateSystem { title }),
        5 => (policy(), few).prop_map(|(policy, mask)| Deed::EditPolicy(Box::new(policy), mask)),
        2 => any::<Index>().prop_map(Deed::DeleteDecision),
        1 => any::<Index>().prop_map(Deed::DeleteAcceptance),
        2 => (0..ROLES.len(), any::<bool>()).prop_map(|(role, lost)| Deed::Loses { role, lost }),
        3 => signer(),
        2 => any::<Index>().prop_map(Deed::Replay),
        1 => Just(Deed::Use),
    ];
    // Withdrawing ends most worlds; it is rare.
    let deed = prop_oneof![80 => deed, 1 => Just(Deed::Withdraw)];
    (0..PEOPLE.len(), 1_u8..60, deed)
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let late = prop::option::weighted(0.3, 0..SIGNERS.len());
    let first = (0_u8..2, assess(), mend(), late).prop_map(|(content, assess, mend, late)| {
        let create = Deed::Create { content, developers: vec![], signed: false };
        let signers = (0..SIGNERS.len()).filter(|key| Some(*key) != late);
        let signers = signers.map(|key| (0, 0, Deed::Signer(key, SignerDeed::Create)));
        signers.chain([(1, 1, create), (0, 1, assess), (0, 1, mend)]).collect::<Vec<Step>>()
    });
    (first, prop::collection::vec(step(), 3..14)).prop_map(|(first, rest)| [first, rest].concat())
}

//! How a constitution comes into force and is amended: the fold of its stream, and what may be asked of it.

use super::amendment::{Adopted, AdoptedFrom, AmendmentOutcome, ConstitutionEvent, Paper, Percent, Proposed, VersionHead};
use crate::command::Refusal;
use crate::event::{Actor, ActorKind};
use crate::id::AmendmentId;
use crate::plan::Problem;
use crate::planted::{self, Fault};
use crate::review::{Electorate, Judge, Tally, VoteWord};
use crate::time::{Time, WireTime};
use std::collections::BTreeMap;

/// The most amendments that may be open at once.
pub const OPEN_MAX: usize = 16;
/// The longest reason, in bytes.
const REASON_MAX: usize = 16 * 1024;
/// The name under which who decides alone votes.
const OPERATOR: &str = "operator";

/// What is asked of the constitution.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstitutionCommand {
    /// This is the document that the configuration names.
    Configure {
        /// The document.
        paper: Paper,
        /// Where it comes from.
        from: AdoptedFrom,
    },
    /// Let this take its place.
    Propose {
        /// What the amendment is called.
        amendment: AmendmentId,
        /// The document.
        paper: Paper,
        /// Why.
        reason: String,
    },
    /// Stand behind an amendment.
    Sponsor {
        /// Which.
        amendment: AmendmentId,
    },
    /// Vote on it.
    Vote {
        /// Which.
        amendment: AmendmentId,
        /// In whose name, where it is not one's own.
        voter: Option<Box<str>>,
        /// What.
        vote: VoteWord,
        /// Why.
        reason: String,
    },
    /// Take it back.
    Withdraw {
        /// Which.
        amendment: AmendmentId,
        /// Why.
        reason: String,
    },
    /// Look at what time has settled.
    Settle,
}

/// What a decision about the constitution rests on.
#[derive(Clone, Copy, Debug)]
pub struct Assembly<'a> {
    /// The instant.
    pub now: Time,
    /// Who asks.
    pub actor: &'a Actor,
    /// Who may judge.
    pub judges: &'a [Judge],
    /// Whether one person may decide alone where too few could.
    pub solo: bool,
}

/// An amendment as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Amendment {
    /// What was proposed. Once it is decided its words are in the stream alone.
    pub proposed: Proposed,
    /// Who proposed it.
    pub by: Box<str>,
    /// When.
    pub at: Time,
    /// Who stands behind it, who proposed it first.
    pub sponsors: Vec<Box<str>>,
    /// The last word of each who voted, and why.
    pub votes: BTreeMap<Box<str>, (VoteWord, Box<str>)>,
    /// What became of it, and when.
    pub decided: Option<(AmendmentOutcome, Time)>,
}

impl Amendment {
    /// Counts the votes. `voted` counts who voted, everything else their weight.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for judge in &self.proposed.voters {
            let Some((vote, _)) = self.votes.get(&judge.id) else {
                tally.open += judge.weight;
                continue;
            };
            tally.voted += 1;
            match vote {
                VoteWord::Approve => tally.approve += judge.weight,
                VoteWord::Conditional => {
                    tally.approve += judge.weight;
                    tally.conditional += judge.weight;
                }
                VoteWord::Reject => tally.reject += judge.weight,
                VoteWord::Abstain => {}
            }
        }
        tally
    }

    /// What becomes of it, once that is settled: nothing before its debate is over; then at the end of the vote, or as soon as no vote that
    /// is missing could turn it. Too few votes are a no.
    fn outcome(&self, now: Time) -> Option<AmendmentOutcome> {
        let Proposed { under, voters, debate_until, vote_until, .. } = &self.proposed;
        if now < *debate_until {
            return None;
        }
        if self.sponsors.len() < under.sponsors as usize {
            return Some(AmendmentOutcome::Lapsed);
        }
        let tally = self.tally();
        let all: u64 = voters.iter().map(|judge| u64::from(judge.weight)).sum();
        let [approve, reject, open] = [tally.approve, tally.reject, tally.open].map(u64::from);
        let enough = |part: u64, share: Percent, of: u64| part * 100 >= u64::from(share.0) * of;
        let quorum = enough(all - open, under.quorum, all) && tally.voted > 0;
        let passes = |approve: u64, reject: u64| approve > reject && enough(approve, under.majority, approve + reject);
        if quorum && passes(approve, reject + open) {
            return Some(AmendmentOutcome::Adopted);
        }
        if !passes(approve + open, reject) {
            return Some(AmendmentOutcome::Rejected);
        }
        if now < *vote_until {
            return None;
        }
        let yes = (quorum && passes(approve, reject)) || planted::is(Fault::DeadlineApproves);
        Some(if yes { AmendmentOutcome::Adopted } else { AmendmentOutcome::Rejected })
    }
}

/// The constitution of a house: the fold of its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constitution {
    /// How many events it has.
    pub version: u64,
    /// The document that is in force.
    pub in_force: Option<Paper>,
    /// Every version there was, the one in force last.
    pub versions: Vec<VersionHead>,
    /// Every amendment there was, the latest last.
    pub amendments: Vec<Amendment>,
    /// The document that the configuration named last.
    configured: Option<Box<str>>,
    /// What is in force while nothing has happened: the document that comes with Ephor. It becomes an event before anything else does.
    assumed: Option<Paper>,
}

impl Constitution {
    /// Decides, and takes to heart what was decided; what time has settled comes with it, even where what was asked is refused.
    pub fn handle(&mut self, command: ConstitutionCommand, cx: Assembly<'_>) -> (Vec<ConstitutionEvent>, Result<(), Refusal>) {
        let mut events = Vec::new();
        self.settle(&mut events, cx);
        let answer = self.decide(command, cx).map(|decided| {
            let replaces = |event: &ConstitutionEvent| !matches!(event, ConstitutionEvent::ConstitutionAdopted(_));
            if decided.first().is_some_and(replaces)
                && self.in_force.is_none()
                && let Some(shipped) = self.assumed.clone()
            {
                let adopted = self.adopted(shipped, AdoptedFrom::Shipped, None);
                self.take(adopted, &mut events, cx);
            }
            for event in decided {
                self.take(event, &mut events, cx);
            }
        });
        self.settle(&mut events, cx);
        (events, answer)
    }

    /// What is in force as long as nothing has happened.
    pub fn assume(&mut self, shipped: Paper) {
        self.assumed = Some(shipped);
    }

    /// The document that is in force.
    pub fn paper(&self) -> Option<&Paper> {
        self.in_force.as_ref().or(self.assumed.as_ref())
    }

    fn take(&mut self, event: ConstitutionEvent, events: &mut Vec<ConstitutionEvent>, cx: Assembly<'_>) {
        self.evolve(&event, cx.now, &cx.actor.to_string());
        events.push(event);
    }

    /// Carries out what is settled. Whatever was to replace a document that is no longer in force is overtaken.
    fn settle(&mut self, events: &mut Vec<ConstitutionEvent>, cx: Assembly<'_>) {
        while let Some((event, follows)) = self.next(cx.now) {
            self.take(event, events, cx);
            if let Some(event) = follows {
                self.take(event, events, cx);
            }
        }
    }

    fn next(&self, now: Time) -> Option<(ConstitutionEvent, Option<ConstitutionEvent>)> {
        let digest = self.paper().map(|paper| &*paper.digest).unwrap_or_default();
        self.open().find_map(|open| {
            let outcome = if *open.proposed.replaces == *digest { open.outcome(now)? } else { AmendmentOutcome::Overtaken };
            let Proposed { amendment, paper, solo, .. } = &open.proposed;
            let self_decided = *solo && outcome == AmendmentOutcome::Adopted;
            let decided = ConstitutionEvent::AmendmentDecided {
                amendment: *amendment,
                outcome,
                tally: open.tally(),
                self_decided,
                reason: "".into(),
            };
            let adopted = (outcome == AmendmentOutcome::Adopted)
                .then(|| self.adopted(paper.clone(), AdoptedFrom::Amendment, Some(*amendment)));
            Some((decided, adopted))
        })
    }

    fn adopted(&self, paper: Paper, from: AdoptedFrom, amendment: Option<AmendmentId>) -> ConstitutionEvent {
        let number = self.versions.last().map_or(1, |head| head.number + 1);
        ConstitutionEvent::ConstitutionAdopted(Box::new(Adopted { number, from, amendment, paper }))
    }

    fn decide(&self, command: ConstitutionCommand, cx: Assembly<'_>) -> Result<Vec<ConstitutionEvent>, Refusal> {
        match command {
            ConstitutionCommand::Configure { paper, from } => self.configure(paper, from),
            ConstitutionCommand::Propose { amendment, paper, reason } => self.propose(amendment, paper, &reason, cx),
            ConstitutionCommand::Sponsor { amendment } => {
                let open = self.open_one(amendment)?;
                may_speak(&open.proposed, cx)?;
                if cx.now >= open.proposed.debate_until {
                    return Err(Refusal::AlreadySettled { what: "who stands behind the amendment" });
                }
                let by = cx.actor.id.clone();
                Ok(match open.sponsors.contains(&by) {
                    true => Vec::new(),
                    false => vec![ConstitutionEvent::AmendmentSponsored { amendment, by }],
                })
            }
            ConstitutionCommand::Vote { amendment, voter, vote, reason } => {
                let open = self.open_one(amendment)?;
                let voter = who_votes(&open.proposed, voter, cx)?;
                let reason = bounded(&reason)?;
                Ok(vec![ConstitutionEvent::AmendmentVoted { amendment, voter, vote, reason }])
            }
            ConstitutionCommand::Withdraw { amendment, reason } => {
                let open = self.open_one(amendment)?;
                if open.by.as_ref() != cx.actor.to_string() {
                    return Err(Refusal::Forbidden(format!("only {} can take it back, who proposed it", open.by)));
                }
                let (outcome, tally) = (AmendmentOutcome::Withdrawn, open.tally());
                let reason = bounded(&reason)?;
                Ok(vec![ConstitutionEvent::AmendmentDecided { amendment, outcome, tally, self_decided: false, reason }])
            }
            ConstitutionCommand::Settle => Ok(Vec::new()),
        }
    }

    /// What the configuration names counts where it names something else than last time. A release that comes with another document does
    /// not undo what was voted on.
    fn configure(&self, paper: Paper, from: AdoptedFrom) -> Result<Vec<ConstitutionEvent>, Refusal> {
        if self.in_force.is_none() && self.assumed.as_ref() == Some(&paper) {
            return Ok(Vec::new());
        }
        let Some(in_force) = &self.in_force else { return Ok(vec![self.adopted(paper, from, None)]) };
        if self.configured.as_ref() == Some(&paper.digest) {
            return Ok(Vec::new());
        }
        if in_force.digest == paper.digest {
            return Ok(vec![ConstitutionEvent::ConstitutionConfigured { digest: paper.digest }]);
        }
        let amended = self.versions.last().is_some_and(|head| head.from == AdoptedFrom::Amendment);
        let named = self.versions.iter().rev().find(|head| head.from != AdoptedFrom::Amendment).map(|head| head.from);
        if amended && from == AdoptedFrom::Shipped && named == Some(AdoptedFrom::Shipped) {
            return Ok(vec![ConstitutionEvent::ConstitutionConfigured { digest: paper.digest }]);
        }
        if !in_force.terms.by_file {
            return Err(Refusal::Forbidden(format!(
                "the constitution in force ({}) is amended by a vote alone (`amendments.by_file: false`): ephor constitution propose FILE",
                in_force.digest
            )));
        }
        Ok(vec![self.adopted(paper, from, None)])
    }

    fn propose(
        &self,
        amendment: AmendmentId,
        paper: Paper,
        reason: &str,
        cx: Assembly<'_>,
    ) -> Result<Vec<ConstitutionEvent>, Refusal> {
        let Some(in_force) = self.paper() else {
            return Err(Refusal::NotFound { what: "constitution", id: "in force".into() });
        };
        if reason.trim().is_empty() {
            return Err(invalid("reason", "an amendment says why"));
        }
        if paper.digest == in_force.digest {
            return Err(invalid("document", "says what the constitution in force says already"));
        }
        if self.open().any(|open| open.proposed.paper.digest == paper.digest) {
            return Err(Refusal::AlreadySettled { what: "to propose this document: it" });
        }
        if self.open().count() >= OPEN_MAX {
            return Err(Refusal::LimitReached { key: "open amendments".into(), max: OPEN_MAX as i64 });
        }
        let electorate = Electorate::of(cx.judges);
        let solo = !electorate.is_able();
        if solo && !cx.solo {
            return Err(Refusal::Forbidden(format!(
                "{}: register agents able to `judge`, or let the house decide alone (`policy.solo`)",
                electorate.missing()
            )));
        }
        if cx.actor.kind == ActorKind::Ai && !cx.judges.iter().any(|judge| judge.id == cx.actor.id) {
            return Err(Refusal::Forbidden("an amendment is proposed by a person or a judge".into()));
        }
        let mut under = in_force.terms.clone();
        let voters = match solo {
            true => vec![Judge { id: OPERATOR.into(), weight: 1, veto: false }],
            false => cx.judges.to_vec(),
        };
        if solo {
            // Nobody else is there who could.
            under.sponsors = 1;
        }
        let debate_until = cx.now.plus(under.debate.ms);
        let vote_until = debate_until.plus(under.voting.ms);
        let (reason, replaces) = (bounded(reason)?, in_force.digest.clone());
        let proposed = Proposed { amendment, replaces, reason, under, voters, solo, debate_until, vote_until, paper };
        let by = cx.actor.id.clone();
        Ok(vec![
            ConstitutionEvent::AmendmentProposed(Box::new(proposed)),
            ConstitutionEvent::AmendmentSponsored { amendment, by },
        ])
    }

    /// Takes to heart what has happened. Cannot fail.
    pub fn evolve(&mut self, event: &ConstitutionEvent, at: Time, by: &str) {
        self.version += 1;
        match event {
            ConstitutionEvent::ConstitutionAdopted(adopted) => {
                let Adopted { number, from, amendment, paper } = &**adopted;
                if *from != AdoptedFrom::Amendment {
                    self.configured = Some(paper.digest.clone());
                }
                self.versions.push(VersionHead {
                    number: *number,
                    digest: paper.digest.to_string(),
                    name: paper.name.to_string(),
                    from: *from,
                    amendment: *amendment,
                    at: WireTime(at),
                    by: by.to_owned(),
                });
                self.in_force = Some(paper.clone());
            }
            ConstitutionEvent::ConstitutionConfigured { digest } => self.configured = Some(digest.clone()),
            ConstitutionEvent::AmendmentProposed(proposed) => self.amendments.push(Amendment {
                proposed: (**proposed).clone(),
                by: by.into(),
                at,
                sponsors: Vec::new(),
                votes: BTreeMap::new(),
                decided: None,
            }),
            ConstitutionEvent::AmendmentSponsored { amendment, by } => {
                if let Some(open) = self.one_mut(*amendment) {
                    open.sponsors.push(by.clone());
                }
            }
            ConstitutionEvent::AmendmentVoted { amendment, voter, vote, reason } => {
                if let Some(open) = self.one_mut(*amendment) {
                    open.votes.insert(voter.clone(), (*vote, reason.clone()));
                }
            }
            ConstitutionEvent::AmendmentDecided { amendment, outcome, .. } => {
                if let Some(open) = self.one_mut(*amendment) {
                    open.decided = Some((*outcome, at));
                    open.proposed.paper.text = "".into();
                }
            }
        }
    }

    /// Amendments that are not decided.
    pub fn open(&self) -> impl Iterator<Item = &Amendment> {
        // Few are open at once, and those are the latest.
        self.amendments.iter().filter(|amendment| amendment.decided.is_none())
    }

    /// When time settles something next.
    pub fn next_at(&self) -> Option<Time> {
        let at = |open: &Amendment| {
            let Proposed { debate_until, vote_until, .. } = open.proposed;
            // What is clear already waits for the end of the debate alone.
            if open.outcome(debate_until).is_some() { debate_until } else { vote_until }
        };
        self.open().map(at).min()
    }

    /// An amendment.
    pub fn one(&self, id: AmendmentId) -> Option<&Amendment> {
        self.amendments.iter().rev().find(|amendment| amendment.proposed.amendment == id)
    }

    fn one_mut(&mut self, id: AmendmentId) -> Option<&mut Amendment> {
        self.amendments.iter_mut().rev().find(|amendment| amendment.proposed.amendment == id)
    }

    fn open_one(&self, id: AmendmentId) -> Result<&Amendment, Refusal> {
        let known = self.one(id).ok_or_else(|| Refusal::NotFound { what: "amendment", id: id.to_string() })?;
        match known.decided {
            None => Ok(known),
            Some(_) => Err(Refusal::AlreadySettled { what: "the amendment" }),
        }
    }
}

/// Whether who asks is a person, or one of those who may vote.
fn may_speak(proposed: &Proposed, cx: Assembly<'_>) -> Result<(), Refusal> {
    let judges = proposed.voters.iter().any(|judge| judge.id == cx.actor.id);
    match cx.actor.kind == ActorKind::Human || judges {
        true => Ok(()),
        false => Err(Refusal::Forbidden(format!("{} is not among those who vote on this amendment", cx.actor.id))),
    }
}

/// In whose name a vote is cast: as in reviews, an agent's in its own, a person's in that of a judge.
fn who_votes(proposed: &Proposed, voter: Option<Box<str>>, cx: Assembly<'_>) -> Result<Box<str>, Refusal> {
    if proposed.solo {
        return match cx.actor.kind {
            ActorKind::Human => Ok(OPERATOR.into()),
            ActorKind::Ai | ActorKind::System => Err(Refusal::Forbidden("this amendment is decided by the operator".into())),
        };
    }
    let voter = voter.unwrap_or_else(|| cx.actor.id.clone());
    if cx.actor.kind == ActorKind::Ai && cx.actor.id != voter {
        return Err(Refusal::Forbidden("an agent votes in its own name".into()));
    }
    match proposed.voters.iter().any(|judge| judge.id == voter) {
        true => Ok(voter),
        false => Err(Refusal::Forbidden(format!("{voter} is not among those who vote on this amendment"))),
    }
}

fn bounded(reason: &str) -> Result<Box<str>, Refusal> {
    match reason.len() <= REASON_MAX {
        true => Ok(reason.trim().into()),
        false => Err(invalid("reason", &format!("has {} bytes; allowed are {REASON_MAX}", reason.len()))),
    }
}

fn invalid(field: &str, message: &str) -> Refusal {
    Refusal::Invalid(vec![Problem::new(field, message)])
}

//! Amendments: who may, how votes are counted, what time settles, and what the configuration may do.

use super::super::*;
use crate::command::Refusal;
use crate::event::Actor;
use crate::id::AmendmentId;
use crate::review::{Judge, VoteWord};
use crate::time::Time;

const HOUR: i64 = 3_600_000;

fn paper(name: &str, amendments: &str) -> Paper {
    let text = format!("constitution: {name}\narticles:\n  - {{id: a, title: {name}}}\n{amendments}");
    Law::read(&text).unwrap().paper().unwrap()
}

/// Two sponsors, two days of debate, 60 % of them, 66 % of those who say yes or no.
const STRICT: &str = "amendments: {sponsors: 2, debate: 48h, voting: 24h, quorum: 60%, majority: 66%, by_file: false}\n";

struct House {
    constitution: Constitution,
    replayed: Constitution,
    judges: Vec<Judge>,
    now: Time,
    solo: bool,
    made: u8,
    events: Vec<ConstitutionEvent>,
}

impl House {
    fn under(terms: &str, judges: u32) -> Self {
        let judges = (0..judges).map(|n| Judge { id: format!("j{n}").into(), weight: 1, veto: false }).collect();
        let (constitution, replayed) = (Constitution::default(), Constitution::default());
        let mut house = Self { constitution, replayed, judges, now: Time(0), solo: false, made: 0, events: Vec::new() };
        house.ask("operator", configure(paper("first", terms))).unwrap();
        assert_eq!(house.kinds(), ["CONSTITUTION_ADOPTED"]);
        house
    }

    fn by(&mut self, actor: &Actor, command: ConstitutionCommand) -> Result<(), Refusal> {
        let cx = Assembly { now: self.now, actor, judges: &self.judges, solo: self.solo };
        let (events, answer) = self.constitution.handle(command, cx);
        for event in &events {
            let event = serde_json::from_value(serde_json::to_value(event).unwrap()).unwrap();
            self.replayed.evolve(&event, self.now, &actor.to_string());
        }
        assert_eq!(self.constitution, self.replayed, "replay differs");
        self.events = events;
        answer
    }

    fn ask(&mut self, who: &str, command: ConstitutionCommand) -> Result<(), Refusal> {
        self.by(&Actor::human(who), command)
    }

    fn propose(&mut self, who: &str, name: &str) -> AmendmentId {
        self.made += 1;
        let amendment = AmendmentId::new(1, [self.made; 10]);
        let proposal = ConstitutionCommand::Propose { amendment, paper: paper(name, STRICT), reason: "better".into() };
        self.ask(who, proposal).unwrap();
        amendment
    }

    fn vote(&mut self, amendment: AmendmentId, votes: &[(u32, VoteWord)]) {
        for (n, vote) in votes {
            let vote =
                ConstitutionCommand::Vote { amendment, voter: Some(format!("j{n}").into()), vote: *vote, reason: String::new() };
            self.ask("ann", vote).unwrap();
        }
    }

    fn pass(&mut self, hours: i64) {
        self.now = Time(self.now.0 + hours * HOUR);
        self.ask("clock", ConstitutionCommand::Settle).unwrap();
    }

    fn outcome(&self, amendment: AmendmentId) -> Option<AmendmentOutcome> {
        self.constitution.one(amendment).unwrap().decided.map(|(outcome, _)| outcome)
    }

    fn name(&self) -> &str {
        &self.constitution.paper().unwrap().name
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.events.iter().map(ConstitutionEvent::kind).collect()
    }
}

fn configure(paper: Paper) -> ConstitutionCommand {
    ConstitutionCommand::Configure { paper, from: AdoptedFrom::File }
}

fn shipped(paper: Paper) -> ConstitutionCommand {
    ConstitutionCommand::Configure { paper, from: AdoptedFrom::Shipped }
}

use VoteWord::{Abstain, Approve, Reject};

#[test]
fn it_is_adopted_by_the_terms_of_the_document_it_replaces_and_not_before_its_debate_is_over() {
    let mut house = House::under(STRICT, 5);
    let amendment = house.propose("ann", "second");
    assert_eq!(house.constitution.next_at(), Some(Time(48 * HOUR)), "one sponsor alone: it lapses when the debate is over");
    house.ask("bea", ConstitutionCommand::Sponsor { amendment }).unwrap();
    assert_eq!(house.constitution.next_at(), Some(Time(72 * HOUR)));
    house.vote(amendment, &[(0, Approve), (1, Approve), (2, Approve), (3, Approve), (4, Approve)]);
    house.pass(47);
    assert_eq!((house.outcome(amendment), house.name()), (None, "first"));
    house.pass(1);
    assert_eq!(house.kinds(), ["AMENDMENT_DECIDED", "CONSTITUTION_ADOPTED"]);
    assert_eq!((house.outcome(amendment), house.name()), (Some(AmendmentOutcome::Adopted), "second"));
    let heads: Vec<_> = house.constitution.versions.iter().map(|head| (head.number, head.from)).collect();
    assert_eq!(heads, [(1, AdoptedFrom::File), (2, AdoptedFrom::Amendment)]);
    assert_eq!(house.constitution.next_at(), None);
}

#[test]
fn too_few_sponsors_too_few_votes_and_too_small_a_majority_are_a_no() {
    let mut house = House::under(STRICT, 5);
    let lonely = house.propose("ann", "second");
    house.vote(lonely, &[(0, Approve), (1, Approve), (2, Approve), (3, Approve), (4, Approve)]);
    house.pass(48);
    assert_eq!(house.outcome(lonely), Some(AmendmentOutcome::Lapsed));

    // Votes, and what comes of them at the end of the vote: 3 of 5 is the quorum, 66 % of those for and against the majority.
    let cases: [(&[(u32, VoteWord)], AmendmentOutcome); 6] = [
        (&[(0, Approve), (1, Approve)], AmendmentOutcome::Rejected),
        (&[(0, Approve), (1, Approve), (2, Abstain)], AmendmentOutcome::Adopted),
        (&[(0, Approve), (1, Approve), (2, Reject)], AmendmentOutcome::Adopted),
        (&[(0, Approve), (1, Reject), (2, Abstain)], AmendmentOutcome::Rejected),
        (&[(0, Approve), (1, Approve), (2, Reject), (3, Reject)], AmendmentOutcome::Rejected),
        (&[], AmendmentOutcome::Rejected),
    ];
    for (votes, outcome) in cases {
        let mut house = House::under(STRICT, 5);
        let amendment = house.propose("ann", "other");
        house.ask("bea", ConstitutionCommand::Sponsor { amendment }).unwrap();
        house.vote(amendment, votes);
        house.pass(48 + 24);
        assert_eq!(house.outcome(amendment), Some(outcome), "{votes:?}");
        assert_eq!(house.name() == "other", outcome == AmendmentOutcome::Adopted);
    }
}

#[test]
fn what_no_missing_vote_could_turn_is_decided_at_once_and_votes_may_be_changed_until_then() {
    let mut house = House::under("", 3);
    let amendment = house.propose("ann", "second");
    house.vote(amendment, &[(0, Reject), (0, Approve)]);
    assert_eq!(house.outcome(amendment), None);
    house.vote(amendment, &[(1, Approve)]);
    assert_eq!(house.outcome(amendment), Some(AmendmentOutcome::Adopted));
    let tally = house.constitution.one(amendment).unwrap().tally();
    assert_eq!((tally.approve, tally.reject, tally.open), (2, 0, 1));
    let late = ConstitutionCommand::Vote { amendment, voter: Some("j2".into()), vote: Reject, reason: String::new() };
    assert!(matches!(house.ask("ann", late), Err(Refusal::AlreadySettled { .. })));

    let mut house = House::under("", 4);
    let amendment = house.propose("ann", "second");
    house.vote(amendment, &[(0, Approve), (1, Approve), (2, Reject)]);
    assert_eq!(house.outcome(amendment), None);
    house.vote(amendment, &[(3, Reject)]);
    assert_eq!(house.outcome(amendment), Some(AmendmentOutcome::Rejected), "a tie is never enough");
}

#[test]
fn nobody_votes_who_may_not_and_an_agent_only_in_its_own_name() {
    let mut house = House::under("", 3);
    let amendment = house.propose("ann", "second");
    let vote = |voter: Option<&str>| ConstitutionCommand::Vote {
        amendment,
        voter: voter.map(Into::into),
        vote: Approve,
        reason: String::new(),
    };
    let ai = |id: &str| Actor { kind: crate::event::ActorKind::Ai, id: id.into() };
    assert!(matches!(house.ask("zoe", vote(None)), Err(Refusal::Forbidden(_))), "she is no judge");
    assert!(matches!(house.by(&ai("j0"), vote(Some("j1"))), Err(Refusal::Forbidden(_))));
    assert!(matches!(house.by(&ai("x"), ConstitutionCommand::Sponsor { amendment }), Err(Refusal::Forbidden(_))));
    house.by(&ai("j0"), vote(None)).unwrap();
    assert_eq!(house.constitution.one(amendment).unwrap().tally().approve, 1);
    let proposal = |reason: &str, paper| ConstitutionCommand::Propose {
        amendment: AmendmentId::new(9, [9; 10]),
        paper,
        reason: reason.into(),
    };
    assert!(matches!(house.by(&ai("x"), proposal("y", paper("third", ""))), Err(Refusal::Forbidden(_))));
    assert!(matches!(house.ask("ann", proposal(" ", paper("third", ""))), Err(Refusal::Invalid(_))), "it says why");
    assert!(matches!(house.ask("ann", proposal("y", paper("first", ""))), Err(Refusal::Invalid(_))), "it is in force");
    assert!(matches!(house.ask("ann", proposal("y", paper("second", STRICT))), Err(Refusal::AlreadySettled { .. })));
    for n in 0..OPEN_MAX - 1 {
        house.propose("ann", &format!("n{n}"));
    }
    assert!(matches!(house.ask("ann", proposal("y", paper("last", ""))), Err(Refusal::LimitReached { .. })));
    assert!(matches!(
        house.ask("bea", ConstitutionCommand::Withdraw { amendment, reason: String::new() }),
        Err(Refusal::Forbidden(_))
    ));
    house.ask("ann", ConstitutionCommand::Withdraw { amendment, reason: "no".into() }).unwrap();
    assert_eq!(house.outcome(amendment), Some(AmendmentOutcome::Withdrawn));
}

#[test]
fn where_too_few_could_vote_one_person_decides_alone_and_that_is_said() {
    let mut house = House::under("amendments: {sponsors: 3, debate: 1h, quorum: 100%}\n", 1);
    let amendment = AmendmentId::new(1, [1; 10]);
    let proposal = || ConstitutionCommand::Propose { amendment, paper: paper("second", ""), reason: "better".into() };
    let refused = house.ask("ann", proposal());
    assert!(matches!(&refused, Err(Refusal::Forbidden(why)) if why.contains("1 of 2 needed votes")), "{refused:?}");
    house.solo = true;
    house.ask("ann", proposal()).unwrap();
    let vote = ConstitutionCommand::Vote { amendment, voter: None, vote: Approve, reason: String::new() };
    let agent = Actor { kind: crate::event::ActorKind::Ai, id: "j0".into() };
    assert!(matches!(house.by(&agent, vote.clone()), Err(Refusal::Forbidden(_))));
    house.ask("ann", vote).unwrap();
    house.pass(1);
    assert!(
        matches!(
            &house.events[0],
            ConstitutionEvent::AmendmentDecided { self_decided: true, outcome: AmendmentOutcome::Adopted, .. }
        ),
        "{:?}",
        house.events
    );
    assert_eq!(house.name(), "second");
}

#[test]
fn what_was_to_replace_a_document_that_is_gone_is_overtaken() {
    let mut house = House::under("", 2);
    let (one, two) = (house.propose("ann", "one"), house.propose("bea", "two"));
    house.vote(two, &[(0, Approve), (1, Approve)]);
    assert_eq!((house.outcome(one), house.outcome(two)), (Some(AmendmentOutcome::Overtaken), Some(AmendmentOutcome::Adopted)));
    assert_eq!(house.kinds(), ["AMENDMENT_VOTED", "AMENDMENT_DECIDED", "CONSTITUTION_ADOPTED", "AMENDMENT_DECIDED"]);
}

#[test]
fn the_file_counts_when_it_changes_and_never_against_the_document_itself() {
    // Another start with the same file changes nothing.
    let mut house = House::under("", 2);
    house.ask("operator", configure(paper("first", ""))).unwrap();
    assert!(house.kinds().is_empty());
    // What was voted on stays though the file says what it said before.
    let amendment = house.propose("ann", "voted");
    house.vote(amendment, &[(0, Approve), (1, Approve)]);
    house.ask("operator", configure(paper("first", ""))).unwrap();
    assert_eq!((house.kinds().len(), house.name()), (0, "voted"));
    // It says itself that no file replaces it.
    let refused = house.ask("operator", configure(paper("by file", "")));
    assert!(matches!(&refused, Err(Refusal::Forbidden(why)) if why.contains("ephor constitution propose")), "{refused:?}");
    // A file that caught up with it is noted.
    house.ask("operator", configure(paper("voted", STRICT))).unwrap();
    assert_eq!(house.kinds(), ["CONSTITUTION_CONFIGURED"]);

    let mut house = House::under("", 2);
    house.ask("operator", configure(paper("by file", ""))).unwrap();
    assert_eq!((house.kinds(), house.name()), (vec!["CONSTITUTION_ADOPTED"], "by file"));
}

#[test]
fn a_release_with_another_document_of_its_own_does_not_undo_what_was_voted_on() {
    let mut house = House { ..House::under("", 2) };
    house.constitution = Constitution::default();
    house.replayed = Constitution::default();
    for constitution in [&mut house.constitution, &mut house.replayed] {
        constitution.assume(paper("shipped", ""));
    }
    house.ask("operator", shipped(paper("shipped", ""))).unwrap();
    assert!(house.kinds().is_empty(), "nothing has happened");
    let amendment = house.propose("ann", "ours");
    assert_eq!(house.kinds(), ["CONSTITUTION_ADOPTED", "AMENDMENT_PROPOSED", "AMENDMENT_SPONSORED"]);
    house.vote(amendment, &[(0, Approve), (1, Approve)]);
    house.ask("operator", shipped(paper("shipped later", ""))).unwrap();
    assert_eq!((house.kinds(), house.name()), (vec!["CONSTITUTION_CONFIGURED"], "ours"));
}

#[test]
fn terms_that_make_no_sense_are_told_with_their_line() {
    let read = |terms: &str| {
        let text = format!("constitution: x\narticles:\n  - {{id: a, title: A}}\namendments: {terms}\n");
        Law::read(&text).map(|law| law.paper().unwrap().terms).map_err(|flaws| flaws[0].to_string())
    };
    assert!(read("{sponsors: 0}").unwrap_err().contains("line 4: amendments: `sponsors` is 0; allowed are 1 to 100"));
    assert!(read("{sponsors: 2}").unwrap_err().contains("nobody could join"));
    assert!(read("{voting: 0s}").unwrap_err().contains("`voting` is 0s; allowed are 1s to 366d"));
    assert!(read("{quorum: 101%}").unwrap_err().contains("a share is written as 60%"));
    assert!(read("{quorum: most}").unwrap_err().contains("a share is written as 60%"));
    assert!(read("{quorums: 60%}").unwrap_err().contains("quorums"));
    assert_eq!(read("{quorum: 60, majority: 66 %}").unwrap().majority, Percent(66));
    // The terms are part of what a document says.
    let [with, without] = [STRICT, ""].map(|terms| paper("x", terms).digest);
    assert_ne!(with, without);
}

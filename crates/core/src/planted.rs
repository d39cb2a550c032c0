//! Faults planted on purpose: places where the rules or the engine are bent while a test asks for it, to see that somebody notices.
//! Without the feature `planted` every question here is answered with a constant no, and nothing of it is left in the code.

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident;)*) => {
        /// What can be bent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $fault,)* }

        impl Fault {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$fault),*];
        }
    };
}

faults! {
    /// The repetition of a report whose answer was lost is refused.
    LostAnswerRefused;
    /// A step that is held is offered to another.
    DoubleLease;
    /// A fencing token is given out twice.
    TokenReused;
    /// A report counts whatever attempt it speaks of.
    UnfencedReport;
    /// A sign of life counts whatever attempt it speaks of.
    UnfencedHeartbeat;
    /// An effect is granted whatever attempt asks.
    UnfencedEffect;
    /// An agent speaks for another.
    ForeignAgent;
    /// A lease lapses although its holder was heard meanwhile.
    LapseUnchecked;
    /// A restart forgets who holds what.
    LeaseUnwatched;
    /// A repeated claim is given new work.
    ClaimForgotten;
    /// Work that was offered is not remembered.
    OfferForgotten;
    /// A step with gates is done as soon as its agent says so.
    GateSkipped;
    /// Who did the work judges it.
    DoerJudges;
    /// What whoever did the work says about it counts where a gate says how it is checked.
    DoersWordCounts;
    /// Who submitted a task votes on it.
    AuthorVotes;
    /// A task that was born from another is nobody's.
    AuthorForgotten;
    /// A vote counts after the review has ended.
    VoteAfterVerdict;
    /// At its deadline a review passes.
    DeadlineApproves;
    /// What a person has to approve of is done without.
    ApprovalSkipped;
    /// What was approved may be changed before it is done.
    ApprovalUnbound;
    /// What a conditional yes depends on is forgotten.
    ConditionsForgotten;
    /// Work is handed out although the budget does not suffice for it.
    BudgetIgnored;
    /// What was set aside for an attempt that did not say what it used counts as nothing.
    ReserveForgotten;
    /// A step goes on with the model that another was to take the place of.
    ModelKept;
    /// A high-risk task starts without its review.
    ReviewSkipped;
    /// What was let in under another constitution goes on under that.
    AmendmentIgnored;
    /// A plan with suspicious words in it is followed without anybody having looked.
    DoubtOverlooked;
    /// A step is offered before anybody looked at its condition.
    ConditionSkipped;
    /// A task is released before what it depends on has completed.
    DependencyIgnored;
    /// Work is handed out while the task is held.
    PauseIgnored;
    /// Work is handed out, and acts, under a hold.
    HoldIgnored;
    /// Work is handed out where a limit leaves no room.
    LimitIgnored;
    /// Resuming a task settles the decision that is owed about it.
    HoldForgotten;
    /// A report about a task that has ended is applied.
    LateReportApplied;
    /// A signal goes through to a task that has ended.
    SignalRevives;
    /// Who failed one task after the other, or is failing them, gets the next all the same.
    BreakerIgnored;
    /// An agent is given more than it has room for.
    SlotsIgnored;
    /// What a person is asked about the result of a step stands in no inbox.
    QuestionForgotten;
    /// Work counts as stalled before its time.
    StallHasty;
    /// Who work was taken from still holds it.
    ReassignUnfenced;
    /// A failed attempt is not counted.
    FailureUncounted;
    /// One goes back, and what was done is not undone.
    CompensationSkipped;
    /// What was done first is undone first.
    CompensationOutOfOrder;
    /// The task is tried again before all is undone that has to be.
    CompensationNotAwaited;
    /// One goes back, but what needs the checkpoint stays as it is.
    CheckpointIgnored;
    /// A class of error that is never repeated is repeated.
    ClassIgnored;
    /// The time limit of an attempt outlives it.
    TimerKept;
    /// Nobody remembers when a step is to be tried again.
    TimerDropped;
    /// A wake is written later than it is needed.
    WakeLate;
    /// A restart begins before the last event.
    TimeReversed;
    /// A dry run acts on the outside.
    DryRunActs;
    /// A step that acts worked without a grant, and nobody says so.
    ActUnsaid;
    /// Nobody asks after an effect whose agent fell silent.
    EffectForgotten;
    /// What may have happened is done again, and nobody was told to look for it.
    ProbeDropped;
    /// A second task about the same subject is let in.
    WindowIgnored;
    /// Two tasks go by one name.
    NameShared;
    /// A child takes no names.
    BirthUnguarded;
    /// A task that was born is not written.
    BirthLost;
    /// An idempotency key is kept in memory, not in the commit.
    KeyNotCommitted;
    /// A parent does not hear of its child's end.
    ChildUntold;
    /// Who waits for a task does not hear of its end.
    DependentsUntold;
    /// A task ends without its parts.
    ChildrenForgotten;
    /// A deadline ends a task before it has taken its mail.
    MailAfterTime;
    /// Mail is taken and stays where it was.
    MailKept;
    /// Mail is dropped on its way.
    MailLost;
    /// Mail is sent twice.
    MailDoubled;
    /// A restart forgets who has mail.
    MailUnread;
    /// Callers are answered although the commit failed.
    AnswerBeforeCommit;
    /// What is decoded stays in memory although it was not written.
    CacheKept;
    /// An event is left out of the chain.
    ChainSkips;
    /// A snapshot hides an event that came after it.
    SnapshotStale;
    /// A task is said to be erased, and its words stay.
    ErasureHalf;
}

#[cfg(feature = "planted")]
mod chosen {
    use super::Fault;
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    pub(super) fn set(fault: Option<Fault>) {
        CHOSEN.set(fault);
    }

    pub(super) fn get() -> Option<Fault> {
        CHOSEN.get()
    }
}

/// Whether this is bent now.
#[cfg(feature = "planted")]
pub fn is(fault: Fault) -> bool {
    chosen::get() == Some(fault)
}

/// Whether this is bent now. It never is.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_: Fault) -> bool {
    false
}

/// Bends something, on this thread, until another is chosen.
pub fn plant(fault: Option<Fault>) {
    #[cfg(feature = "planted")]
    chosen::set(fault);
    #[cfg(not(feature = "planted"))]
    let _nothing_can_be = fault;
}

/// What is bent on this thread.
pub fn active() -> Option<Fault> {
    #[cfg(feature = "planted")]
    return chosen::get();
    #[cfg(not(feature = "planted"))]
    None
}

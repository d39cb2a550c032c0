//! Which capability a line of plain words asks for, guessed from its verb. Every guess is reported.

/// How a capability was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The words name the work: "Send follow-up emails".
    Direct,
    /// The nearest capability there is: "Negotiate terms" is a conversation.
    Near,
}

/// Words (any of them), words that must stand beside them (any, or none needed), the capability, how good a match.
type Rule = (&'static [&'static str], &'static [&'static str], &'static str, Match);

/// Tried in this order on the whole line: what names its tool beats every verb.
const NAMED: [Rule; 2] =
    [(&["maps"], &["google"], "search_google_maps", Match::Direct), (&["csv", "spreadsheet"], &[], "manage_csv", Match::Direct)];

/// Tried in this order on the first verb of the line.
const VERBS: [Rule; 16] = [
    (&["schedule", "book", "arrange"], &[], "schedule_calendar_event", Match::Direct),
    (
        &["design", "sketch", "create", "draw"],
        &["wireframe", "wireframes", "mockup", "mockups"],
        "create_wireframes",
        Match::Direct,
    ),
    (
        &["create", "build", "calculate", "prepare", "set", "define"],
        &["price", "prices", "pricing", "quote", "quotes"],
        "build_quote",
        Match::Direct,
    ),
    (&["quote", "price"], &[], "build_quote", Match::Direct),
    (&["draft", "write", "compose"], &[], "draft_document", Match::Direct),
    (&["prepare", "build", "create"], &["proposal", "document", "report", "contract", "letter"], "draft_document", Match::Direct),
    (
        &["send", "email", "mail", "reply"],
        &["email", "emails", "mail", "mails", "e-mail", "follow-up"],
        "send_email",
        Match::Direct,
    ),
    (&["call", "phone", "dial", "ring"], &[], "make_phone_call", Match::Direct),
    (&["conduct", "hold", "interview", "ask"], &["interview", "interviews"], "conduct_interview", Match::Direct),
    (&["document", "record", "note", "summarize", "summarise"], &[], "document_findings", Match::Direct),
    (&["scrape", "crawl"], &[], "web_scrape", Match::Direct),
    (
        &["visit", "analyze", "analyse", "screenshot", "audit", "identify", "qualify", "review"],
        &["website", "websites", "site", "page"],
        "analyze_website",
        Match::Direct,
    ),
    (&["compile", "score", "rank", "prioritize", "prioritise", "sort", "list"], &[], "manage_csv", Match::Direct),
    (&["search", "find", "look"], &[], "search_google_maps", Match::Near),
    (&["conduct", "negotiate", "present", "pitch", "discuss", "demo"], &[], "conduct_interview", Match::Near),
    (&["identify", "verify", "clarify", "collect", "gather"], &[], "document_findings", Match::Near),
];

/// The capability a line asks for, if its words say so.
pub(super) fn guess(line: &str) -> Option<(&'static str, Match)> {
    let lower = line.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|word| !word.is_empty()).collect();
    let has = |wanted: &[&str]| wanted.is_empty() || words.iter().any(|word| wanted.contains(word));
    let named = NAMED.iter().find(|(any, beside, ..)| has(any) && has(beside));
    let by_verb = || {
        let verb = words.first()?;
        VERBS.iter().find(|(verbs, beside, ..)| verbs.contains(verb) && has(beside))
    };
    named.or_else(by_verb).map(|(_, _, capability, how)| (*capability, *how))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_decides_and_a_named_tool_beats_it() {
        for (line, capability) in [
            ("Look around on Google Maps", "search_google_maps"),
            ("Sort the addresses.csv", "manage_csv"),
            ("Draft an email to the mayor", "draft_document"),
            ("Send the email", "send_email"),
            ("Book a room for the meeting", "schedule_calendar_event"),
            ("Create price list", "build_quote"),
            ("Audit their website", "analyze_website"),
            ("Hold interviews with two bakers", "conduct_interview"),
        ] {
            assert_eq!(guess(line).map(|(capability, _)| capability), Some(capability), "{line}");
        }
        assert_eq!(guess("Negotiate with the baker").map(|(_, how)| how), Some(Match::Near));
        assert_eq!((guess("Bake bread"), guess("")), (None, None));
    }
}

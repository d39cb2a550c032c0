//! What one line of an outline is.

/// Characters that draw a tree and carry no meaning but their width.
const DRAWING: [char; 19] = ['│', '├', '└', '─', '┬', '┌', '┐', '┘', '┤', '┴', '┼', '╰', '╭', '━', '┃', '┣', '┗', ' ', '\t'];

/// Words that name a level, with the level: a phase holds tasks, a task holds subtasks.
const LEVEL_WORDS: [(&str, usize); 9] = [
    ("phase", 1),
    ("stage", 1),
    ("milestone", 1),
    ("task", 2),
    ("step", 2),
    ("activity", 2),
    ("subtask", 3),
    ("sub-task", 3),
    ("substep", 3),
];

/// Words before a colon that say what the whole is for.
const GOAL_WORDS: [&str; 6] = ["goal", "goal statement", "objective", "project goal", "aim", "purpose"];

/// One line of an outline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Nothing, or a rule across the page.
    Blank,
    /// The beginning or end of a code block.
    Fence,
    /// `# Title`
    Heading { level: usize, title: &'a str },
    /// `Task 1.2: Title` or `1.2 Title`: its level is certain.
    Label { level: usize, number: &'a str, title: &'a str },
    /// `- Title` or `1. Title`: its level follows from how far it is indented.
    Item { indent: usize, numbered: bool, done: bool, title: &'a str },
    /// `Goal: …`
    Goal(&'a str),
    /// Anything else.
    Text(&'a str),
}

impl<'a> Line<'a> {
    pub(super) fn read(line: &'a str) -> Self {
        let line = line.trim_end();
        let content = line.trim_start_matches(DRAWING);
        let drawn = line[..line.len() - content.len()].contains(|c: char| !c.is_whitespace());
        let indent = line[..line.len() - content.len()].chars().count();
        if content.starts_with("```") || content.starts_with("~~~") {
            return Self::Fence;
        }
        if content.is_empty() || (content.len() >= 3 && content.chars().all(|c| matches!(c, '-' | '*' | '_' | '='))) {
            return Self::Blank;
        }
        let (bullet, marked) = bullet(content);
        let (heading, bare) = heading(marked);
        let bare = bare.trim_start_matches(['*', '_']);
        if let Some(label) = label(bare).or_else(|| numbers(bare)) {
            return label;
        }
        if let Some(level) = heading {
            return Self::Heading { level, title: plain(bare) };
        }
        if let Some(goal) = goal(bare) {
            return Self::Goal(goal);
        }
        if let Some((_, title)) = number(bare).filter(|(_, rest)| rest.starts_with(['.', ')'])) {
            let title = plain(title.trim_start_matches(['.', ')']));
            return if title.is_empty() {
                Self::Text(content)
            } else {
                Self::Item { indent, numbered: true, done: false, title }
            };
        }
        if bullet || drawn {
            let (done, title) = checkbox(marked);
            return Self::Item { indent, numbered: false, done, title: plain(title) };
        }
        Self::Text(content)
    }
}

/// Whether the line begins with a bullet, and what follows it.
fn bullet(text: &str) -> (bool, &str) {
    let rest = text.strip_prefix(['-', '*', '+', '•']).filter(|rest| rest.starts_with([' ', '\t']));
    (rest.is_some(), rest.map_or(text, str::trim_start))
}

/// The level of a heading, and what follows its marks.
fn heading(text: &str) -> (Option<usize>, &str) {
    let rest = text.trim_start_matches('#');
    let level = text.len() - rest.len();
    if (1..=6).contains(&level) && rest.starts_with(' ') { (Some(level), rest.trim()) } else { (None, text) }
}

/// `Phase 1: Title`. A number of several parts states the level itself.
fn label(text: &str) -> Option<Line<'_>> {
    let word_end = text.find(|c: char| !c.is_alphabetic() && c != '-')?;
    let (word, rest) = text.split_at(word_end);
    let (_, level) = LEVEL_WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word))?;
    let (number, rest) = number(rest.trim_start())?;
    let rest = rest.trim_start_matches(['*', '_']).trim_start();
    let title = if rest.is_empty() { text } else { rest.strip_prefix([':', '.', ')', '-', '–', '—'])? };
    let parts = number.split('.').count();
    let level = if parts > 1 { parts } else { *level };
    let title = plain(title);
    Some(Line::Label { level, number, title: if title.is_empty() { plain(text) } else { title } })
}

/// `1.2 Title`.
fn numbers(text: &str) -> Option<Line<'_>> {
    let (number, rest) = number(text)?;
    let level = number.split('.').count();
    let rest = rest.trim_start_matches(['.', ')', ':']);
    let title = plain(rest);
    (level > 1 && rest.starts_with(' ') && !title.is_empty()).then_some(Line::Label { level, number, title })
}

/// The dotted number a text begins with, and what follows.
fn number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number = text[..end].trim_end_matches('.');
    let sound = !number.is_empty() && number.split('.').all(|part| !part.is_empty());
    sound.then(|| (number, &text[number.len()..]))
}

fn goal(text: &str) -> Option<&str> {
    let (word, rest) = text.split_once(':')?;
    let rest = plain(rest);
    (GOAL_WORDS.iter().any(|goal| goal.eq_ignore_ascii_case(word.trim())) && !rest.is_empty()).then_some(rest)
}

fn checkbox(text: &str) -> (bool, &str) {
    for (mark, done) in [("[ ]", false), ("[x]", true), ("[X]", true)] {
        if let Some(rest) = text.strip_prefix(mark) {
            return (done, rest);
        }
    }
    (false, text)
}

/// Without the marks of bold and italics around it.
fn plain(text: &str) -> &str {
    text.trim().trim_matches(['*', '_']).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_is_told_apart() {
        let label = |level, number, title| Line::Label { level, number, title };
        let item = |indent, numbered, done, title| Line::Item { indent, numbered, done, title };
        for (line, expected) in [
            ("PHASE 1: Dough (day 1)", label(1, "1", "Dough (day 1)")),
            ("├─ Task 1.2: Knead", label(2, "1.2", "Knead")),
            ("│  └─ Subtask 1.2.1: Wait", label(3, "1.2.1", "Wait")),
            ("## **Phase 2** - Oven", label(1, "2", "Oven")),
            ("1.3 Taste", label(2, "1.3", "Taste")),
            ("Step 4", label(2, "4", "Step 4")),
            ("# Bread", Line::Heading { level: 1, title: "Bread" }),
            ("**Goal:** fresh bread", Line::Goal("fresh bread")),
            ("  - [x] flour", item(2, false, true, "flour")),
            ("2) water", item(0, true, false, "water")),
            ("└─ salt", item(3, false, false, "salt")),
            ("Task force meets", Line::Text("Task force meets")),
            ("2024 was good", Line::Text("2024 was good")),
            ("----", Line::Blank),
            ("```sh", Line::Fence),
        ] {
            assert_eq!(Line::read(line), expected, "{line}");
        }
    }
}

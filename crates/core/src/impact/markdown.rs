//! The report as a page in Markdown. What callers and agents wrote stands in it as text and nothing else: no markup, no HTML, no control
//! characters, nothing that turns the reading direction.

use super::{ApprovalKind, DurationSource, Impact, ImpactEffect, ImpactStep, ImpactVerdict};
use crate::constitution::Ruling;
use crate::spec::GateKind;
use crate::time::WireDuration;
use serde_json::Value;
use std::fmt::Write as _;

/// The most characters of one text on the page; the JSON has all of it.
const TEXT_MAX: usize = 500;

impl Impact {
    /// The report as Markdown.
    pub fn markdown(&self) -> String {
        let mut page = String::new();
        // What is written to a text always fits.
        let _ = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        let task = &self.task;
        writeln!(page, "# Impact of “{}”\n", inert(&task.title))?;
        if !task.description.is_empty() && task.description != task.title {
            writeln!(page, "{}\n", inert(&task.description))?;
        }
        let mode = format!("{} with autonomy {}", word(&task.execution_mode), word(&task.autonomy));
        writeln!(page, "{} is {} ({mode}). ", task.id, task.status)?;
        if task.withholds {
            writeln!(page, "Nothing of it acts on the outside: every such act is withheld, and none can be allowed.")?;
        }
        if task.assumed_mode != task.execution_mode || task.assumed_autonomy != task.autonomy {
            let assumed = format!("{} with autonomy {}", word(&task.assumed_mode), word(&task.assumed_autonomy));
            writeln!(page, "Verdicts and approvals are told for a run in earnest: {assumed}.")?;
        }
        writeln!(
            page,
            "Made at {}, of version {} of the task and {} of its plan.\n",
            task.at.0, task.version, task.plan_version
        )?;
        self.short(page)?;
        self.steps(page)?;
        self.duration(page)?;
        self.cost(page)?;
        self.resources(page)?;
        self.risk(page)?;
        self.verdicts(page)?;
        self.approvals(page)?;
        self.effects(page)
    }

    /// What somebody reads who reads no further.
    fn short(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "## In short\n")?;
        let count = |n: usize, one: &str, more: &str| format!("{n} {}", if n == 1 { one } else { more });
        writeln!(page, "- {}, expected duration {}", count(self.steps.len(), "step", "steps"), known(self.duration.expected))?;
        writeln!(page, "- Risk {}", self.risk.level.word())?;
        let refused = self.verdicts.iter().filter(|verdict| verdict.ruling == Some(Ruling::Deny)).count();
        if refused > 0 {
            writeln!(
                page,
                "- **{} by the constitution: it would not get through as it stands**",
                count(refused, "refusal", "refusals")
            )?;
        }
        writeln!(page, "- {}", count(self.approvals.len(), "approval asked of people", "approvals asked of people"))?;
        let withheld = if self.task.withholds { ", withheld" } else { "" };
        writeln!(page, "- {}{withheld}\n", count(self.effects.len(), "act on the outside", "acts on the outside"))
    }

    fn steps(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "## Steps, in order\n")?;
        if let Some(why) = &self.task.no_plan {
            return writeln!(page, "{}\n", inert(why));
        }
        writeln!(page, "Steps of one stage may run side by side.\n")?;
        writeln!(page, "| stage | step | does | after | expected | state |\n|---|---|---|---|---|---|")?;
        for step in &self.steps {
            let mark = if step.critical { " (decides the duration)" } else { "" };
            let after = if step.needs.is_empty() { "–".into() } else { step.needs.join(", ") };
            writeln!(
                page,
                "| {} | {} {}{mark} | {}{} | {after} | {} | {}{} |",
                step.stage,
                step.path,
                inert(&step.label),
                inert(&step.action),
                conditions(step),
                expected(step),
                word(&step.status),
                step.error.as_ref().map(|error| format!(": {}", inert(error))).unwrap_or_default(),
            )?;
        }
        writeln!(page)
    }

    fn duration(&self, page: &mut String) -> std::fmt::Result {
        let duration = &self.duration;
        writeln!(
            page,
            "## Duration\n\nExpected: {}, without the time people and agents are waited for.",
            known(duration.expected)
        )?;
        if !duration.unknown.is_empty() {
            writeln!(page, "Nobody knows how long these steps take: {}.", duration.unknown.join(", "))?;
        }
        if !duration.critical_path.is_empty() {
            writeln!(page, "Decided by: {}.", duration.critical_path.join(" → "))?;
        }
        if let Some(took) = duration.took {
            writeln!(page, "This run took {took}.")?;
        }
        writeln!(page)
    }

    fn cost(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "## Cost\n")?;
        if self.cost.reported.is_empty() {
            return writeln!(page, "Unknown: no step has reported a cost, tokens or calls.\n");
        }
        for (name, figure) in &self.cost.reported {
            writeln!(page, "- {}: {figure}", inert(name))?;
        }
        if !self.cost.unknown.is_empty() {
            writeln!(page, "\nUnknown for these steps: {}.", self.cost.unknown.join(", "))?;
        }
        writeln!(page)
    }

    fn resources(&self, page: &mut String) -> std::fmt::Result {
        let resources = &self.resources;
        writeln!(page, "## Resources\n")?;
        for (name, needed) in &resources.requirements {
            let (total, at_once, largest) = (needed.total, needed.at_once, needed.largest);
            writeln!(page, "- {}: {at_once} at once, {largest} for the largest step, {total} in all", inert(name))?;
        }
        for (name, most) in &resources.limits {
            writeln!(page, "- at most {}: {}", inert(name), inert(&text(most)))?;
        }
        if !resources.capabilities.is_empty() {
            writeln!(page, "- agents able to: {}", inert(&resources.capabilities.join(", ")))?;
        }
        if !resources.models.is_empty() {
            writeln!(page, "- models: {}", inert(&resources.models.join(", ")))?;
        }
        if resources.requirements.is_empty() && resources.limits.is_empty() {
            writeln!(page, "- of machines nothing is asked that the plan says")?;
        }
        writeln!(page)
    }

    fn risk(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "## Risk: {}\n", self.risk.level.word())?;
        for reason in &self.risk.reasons {
            writeln!(page, "- {}", inert(reason))?;
        }
        for finding in &self.risk.findings {
            writeln!(page, "- {} ({}): {}", inert(&finding.check), word(&finding.result), inert(&finding.reason))?;
        }
        if !self.risk.not_undone.is_empty() {
            writeln!(
                page,
                "- these steps act, and the plan does not say how that is undone: {}",
                self.risk.not_undone.join(", ")
            )?;
        }
        if self.risk.reasons.is_empty() && self.risk.findings.is_empty() && self.risk.not_undone.is_empty() {
            writeln!(page, "- no rule saw any")?;
        }
        writeln!(page)
    }

    fn verdicts(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "## Verdicts of the constitution\n")?;
        if self.verdicts.is_empty() {
            return writeln!(page, "None is in force.\n");
        }
        for verdict in &self.verdicts {
            writeln!(page, "- {}: {}", place(verdict), ruling(verdict))?;
        }
        writeln!(page)
    }

    fn approvals(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "## Approvals that would be asked\n")?;
        if self.approvals.is_empty() {
            return writeln!(page, "Nobody would be asked.\n");
        }
        for approval in &self.approvals {
            let of = match approval.of {
                ApprovalKind::Admission => "whether it may start",
                ApprovalKind::Plan => "whether its plan is taken over",
                ApprovalKind::Action => "whether this may be done just so",
                ApprovalKind::Result => "whether the result counts",
                ApprovalKind::FinalReview => "whether the whole result is accepted",
            };
            let step = approval.step.as_ref().map(|step| format!("step {step}: ")).unwrap_or_default();
            let certain = if approval.certain { "" } else { "perhaps: " };
            write!(page, "- {certain}{step}{of}. Asked is {}, because {}", inert(&approval.who), inert(&approval.why))?;
            match (approval.verdict, approval.waits) {
                (Some(verdict), _) => writeln!(page, ". The answer was {}.", word(&verdict))?,
                (None, Some(waits)) => writeln!(page, ". It waits for {waits}; silence is no yes.")?,
                (None, None) => writeln!(page, ".")?,
            }
        }
        writeln!(page)
    }

    fn effects(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "## {}\n", if self.task.withholds { "Effects withheld" } else { "Effects" })?;
        if self.effects.is_empty() {
            return writeln!(page, "None that the plan tells of.");
        }
        for effect in &self.effects {
            let state = if effect.withheld { ", withheld" } else { "" };
            writeln!(page, "- step {}: {}{state} ({})", effect.step, inert(&effect.action), inert(&effect.known_by))?;
            arguments(effect, page)?;
        }
        Ok(())
    }
}

fn arguments(effect: &ImpactEffect, page: &mut String) -> std::fmt::Result {
    for (name, value) in &effect.params {
        writeln!(page, "  - {}: {}", inert(name), inert(&text(value)))?;
    }
    if let Some(why) = &effect.unresolved {
        writeln!(page, "  - not all of it is known yet: {}", inert(why))?;
    }
    if let Some(digest) = &effect.args_digest {
        writeln!(page, "  - digest of these arguments: {digest}")?;
    }
    Ok(())
}

fn conditions(step: &ImpactStep) -> String {
    let mut said = String::new();
    if let Some(when) = &step.when {
        said += &format!(", if {}", inert(when));
    }
    if let Some(list) = &step.for_each {
        said += &format!(", for each of {}", inert(list));
    }
    if step.optional {
        said += ", optional";
    }
    let gates: Vec<&str> = step.gates.iter().map(|gate: &GateKind| gate.word()).collect();
    if !gates.is_empty() {
        said += &format!(", judged by {}", gates.join(", "));
    }
    said
}

fn expected(step: &ImpactStep) -> String {
    match (step.expected, step.expected_by) {
        (Some(length), DurationSource::Plan) => format!("{length} (the plan)"),
        (Some(length), DurationSource::History) => format!("{length} (usually)"),
        (_, DurationSource::Unknown) | (None, _) => "unknown".into(),
    }
}

fn known(length: Option<WireDuration>) -> String {
    length.map_or_else(|| "unknown".into(), |length| length.to_string())
}

fn place(verdict: &ImpactVerdict) -> String {
    match &verdict.step {
        Some(step) => format!("{} of step {step}", verdict.at.word()),
        None => verdict.at.word().into(),
    }
}

fn ruling(verdict: &ImpactVerdict) -> String {
    let said: Vec<String> = verdict
        .said
        .iter()
        .map(|said| format!("{} ({}, {})", inert(&said.message), inert(&said.rule), said.ruling.word()))
        .collect();
    let said = if said.is_empty() { String::new() } else { format!(": {}", said.join("; ")) };
    match (verdict.ruling, &verdict.undecided) {
        (_, Some(why)) => format!("not known yet, {}{said}", inert(why)),
        (Some(ruling), None) => format!("{}{said}", ruling.word()),
        (None, None) => "not known".into(),
    }
}

/// The word of something that has one on the wire.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text of somebody else's as text on one line.
fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (n, c) in text.chars().enumerate() {
        if n == TEXT_MAX {
            out.push('…');
            break;
        }
        match c {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|' | '~' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // Marks that turn the direction, join or hide what stands beside them.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{00ad}' => {}
            '\u{e0000}'..='\u{e007f}' => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::inert;

    #[test]
    fn what_others_wrote_is_text_on_the_page() {
        for (said, shown) in [
            ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
            ("[a](javascript:x)", "\\[a\\]\\(javascript:x\\)"),
            ("a | b\n# c", "a \\| b \\# c"),
            ("\u{202e}evil\u{200b}\u{1b}[31m", "evil \\[31m"),
            ("`x` *y* ![z]", "\\`x\\` \\*y\\* \\!\\[z\\]"),
        ] {
            assert_eq!(inert(said), shown);
        }
        assert_eq!(inert(&"a".repeat(1_000)).chars().count(), super::TEXT_MAX + 1);
    }
}

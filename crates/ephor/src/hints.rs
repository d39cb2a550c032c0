//! What can be done next, in the words of whoever is told: a command at the command line, a call over HTTP.

/// The same act by CLI and by HTTP; `{}` stands for a name.
const PAIRS: [(&str, &str); 14] = [
    ("ephor task show {}", "GET /api/v1/tasks/{}"),
    ("ephor task list --all", "GET /api/v1/tasks"),
    ("ephor task events {}", "GET /api/v1/tasks/{}/events"),
    ("ephor hold list", "GET /api/v1/holds"),
    ("ephor limit list", "GET /api/v1/limits"),
    ("ephor key list", "GET /api/v1/keys"),
    ("ephor agent show {}", "GET /api/v1/agents/{}"),
    ("ephor agent list", "GET /api/v1/agents"),
    ("ephor breaker list", "GET /api/v1/breakers"),
    ("ephor lifecycle", "GET /api/v1/lifecycle"),
    ("ephor task rerun {}", "POST /api/v1/tasks/{}/rerun"),
    ("ephor constitution history", "GET /api/v1/constitution/versions"),
    ("ephor constitution amendments", "GET /api/v1/constitution/amendments"),
    ("ephor task show {}", "GET /api/executions/{}"),
];
/// The methods a call begins with.
const METHODS: [&str; 5] = ["GET ", "POST ", "PUT ", "PATCH ", "DELETE "];

/// A hint as it goes out over HTTP. What has no call of its own stays a command.
pub(crate) fn to_http(hint: String) -> String {
    PAIRS.iter().find_map(|(cli, http)| same(cli, http, &hint)).unwrap_or(hint)
}

/// A hint as it stands at the command line. Any other call is one of `ephor api`.
pub(crate) fn to_cli(hint: String) -> String {
    match PAIRS.iter().find_map(|(cli, http)| same(http, cli, &hint)) {
        Some(command) => command,
        None if METHODS.iter().any(|method| hint.starts_with(method)) => format!("ephor api {hint}"),
        None => hint,
    }
}

/// A hint of one form in the other.
fn same(from: &str, to: &str, hint: &str) -> Option<String> {
    let Some((before, after)) = from.split_once("{}") else { return (from == hint).then(|| to.to_owned()) };
    let name = hint.strip_prefix(before)?.strip_suffix(after)?;
    let whole = !name.is_empty() && !name.contains([' ', '/']);
    whole.then(|| to.replace("{}", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reader_is_told_in_words_that_work_for_them() {
        for (cli, http) in [
            ("ephor task show task_1", "GET /api/v1/tasks/task_1"),
            ("ephor task list --all", "GET /api/v1/tasks"),
            ("ephor task events task_1", "GET /api/v1/tasks/task_1/events"),
            ("ephor hold list", "GET /api/v1/holds"),
            ("ephor task rerun task_1", "POST /api/v1/tasks/task_1/rerun"),
        ] {
            assert_eq!((to_http(cli.into()), to_cli(http.into())), (http.to_owned(), cli.to_owned()));
        }
        assert_eq!(to_cli("GET /api/executions/exec_1".into()), "ephor task show exec_1");
        assert_eq!(to_cli("GET /api-docs".into()), "ephor api GET /api-docs");
        assert_eq!(to_http("ephor doctor".into()), "ephor doctor");
        assert_eq!(to_cli("make space; nothing was lost".into()), "make space; nothing was lost");
    }
}

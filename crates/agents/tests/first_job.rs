//! The first job of a newcomer: look at a folder, check its links, write a report. No shell, no network.

mod common;

use common::Place;
use serde_json::json;

#[tokio::test]
async fn a_folder_becomes_a_report() {
    let place = Place::new();
    std::fs::write(place.dir.path().join("read/README.md"), "# Hello\n\nTODO: say more, see [the guide](guide.md)\n").unwrap();
    let scan = place.run("files.scan", json!({"include": ["**/*.md"], "patterns": {"todo": "TODO"}})).await.unwrap();
    let links = place.run("links.check", json!({})).await.unwrap();
    let template = "# Report\n{{ scan.totals.files }} file, {{ scan.totals.matches.todo }} to do\n\
        {% for link in links.broken %}- {{ link.file }}:{{ link.line }} {{ link.target }}\n{% endfor %}";
    let data = json!({"scan": scan.output, "links": links.output});
    let report = json!({"template": template, "data": data, "out": "report.md"});
    place.run("template.render", report).await.unwrap();
    let report = std::fs::read_to_string(place.dir.path().join("out/report.md")).unwrap();
    assert_eq!(report, "# Report\n1 file, 1 to do\n- README.md:3 guide.md\n");
}

#[test]
fn the_capabilities_are_the_actions() {
    let place = Place::new();
    let capabilities = [
        "analyse",
        "echo",
        "files.read",
        "files.scan",
        "files.write",
        "http.request",
        "links.check",
        "noop",
        "shell.run",
        "template.render",
    ];
    assert_eq!(place.capabilities, capabilities);
}

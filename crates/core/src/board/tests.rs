//! Tests of the board alone.

use super::*;
use crate::plan::Plan;

fn board(json: serde_json::Value) -> Board {
    Board::new(Plan::check(&serde_json::from_value(json).unwrap()).unwrap().0, None)
}

fn offered(board: &Board) -> Vec<&str> {
    let mut paths: Vec<&str> = board
        .offers
        .values()
        .flatten()
        .filter_map(|o| if let Offer::Step(i) = o { Some(&*board.steps[*i as usize].path) } else { None })
        .collect();
    paths.sort_unstable();
    paths
}

#[test]
fn a_group_opens_when_what_it_needs_has_ended_and_ends_with_its_last_step() {
    let mut board = board(serde_json::json!({"steps": [
        {"id": "a", "steps": [{"action": "x"}, {"action": "y"}]},
        {"id": "b", "depends_on": ["a"], "steps": [{"action": "z"}]},
    ]}));
    assert_eq!(offered(&board), ["1.1", "1.2"]);
    board.end(1, StepStatus::Completed, Time(1));
    assert_eq!(offered(&board), ["1.2"]);
    board.end(2, StepStatus::Completed, Time(1));
    assert_eq!(offered(&board), ["2.1"]);
    board.end(4, StepStatus::Completed, Time(1));
    assert!(board.is_done());
    assert_eq!(board.count(StepStatus::Completed), 3);
}

#[test]
fn a_skipped_group_takes_what_is_in_it_along_and_lets_others_go_on() {
    let mut board = board(serde_json::json!({"steps": [
        {"id": "a", "when": "false", "steps": [{"action": "x"}]},
        {"id": "b", "action": "y", "depends_on": ["a"]},
    ]}));
    assert_eq!(board.fresh.iter().copied().collect::<Vec<_>>(), [0]);
    board.end(0, StepStatus::Skipped, Time(1));
    assert_eq!((offered(&board), board.count(StepStatus::Skipped)), (vec!["2"], 1));
}

#[test]
fn a_step_becomes_one_for_each_item() {
    let mut board = board(
        serde_json::json!({"steps": [{"id": "a", "action": "x", "for_each": "task.payload"}, {"action": "y", "depends_on": ["a"]}]}),
    );
    board.expand(0, 2, Time(1));
    assert_eq!((offered(&board), board.total()), (vec!["1.1", "1.2"], 3));
    for path in ["1.1", "1.2"] {
        let i = board.find(path).unwrap();
        board.end(i, StepStatus::Completed, Time(1));
    }
    assert_eq!(offered(&board), ["2"]);
}

#[test]
fn a_list_of_nothing_ends_at_once() {
    let mut board = board(serde_json::json!({"steps": [{"id": "a", "action": "x", "for_each": "[]"}]}));
    board.expand(0, 0, Time(1));
    assert!(board.is_done() && board.total() == 0);
}

#[test]
fn a_new_plan_keeps_what_is_finished_and_never_reuses_a_token() {
    let old_plan = Plan::check(
        &serde_json::from_value(
            serde_json::json!({"steps": [{"id": "a", "action": "x"}, {"id": "b", "action": "y", "depends_on": ["a"]}]}),
        )
        .unwrap(),
    )
    .unwrap()
    .0;
    let mut old = Board::new(old_plan, None);
    old.cell_mut(0).attempt = 7;
    old.end(0, StepStatus::Completed, Time(1));
    let new_plan = Plan::check(
        &serde_json::from_value(
            serde_json::json!({"steps": [{"id": "a", "action": "x"}, {"id": "c", "action": "z", "depends_on": ["a"]}]}),
        )
        .unwrap(),
    )
    .unwrap()
    .0;
    let board = Board::new(new_plan, Some(&old));
    assert_eq!((offered(&board), board.cell(1).attempt), (vec!["2"], 7));
}

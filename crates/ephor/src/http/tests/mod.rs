//! The interface, asked without a socket.

mod access;
mod amendments;
mod approvals;
mod asked;
mod batch;
mod contract;
mod crash;
mod dashboard;
mod desk;
mod figures;
mod flow;
mod generated;
mod house;
mod impact;
mod inbox;
mod links;
mod lists;
mod liveness;
mod malformed;
mod matrix;
mod models;
mod names;
mod planexe;
mod reassign;
mod receipt;
mod receiver;
mod recovery;
mod rows;
mod schedules;
mod shown;
mod sockets;
mod streams;
mod tasks;
mod telemetry;
mod trust;
mod webhooks;
mod work;

use super::documented;
use super::operations::{OPERATIONS, PAGES};
use std::collections::BTreeSet;

/// Every operation of the document, as method and path.
fn in_document() -> BTreeSet<(String, String)> {
    let (_, document) = documented().split_for_parts();
    let json = serde_json::to_value(document).unwrap();
    let paths = json["paths"].as_object().unwrap().clone();
    paths.iter().flat_map(|(path, item)| item.as_object().unwrap().keys().map(|m| (m.to_uppercase(), path.clone()))).collect()
}

#[test]
fn every_operation_declares_its_permission_and_every_declaration_is_an_operation() {
    let declared: BTreeSet<_> = OPERATIONS.iter().map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned())).collect();
    assert_eq!(in_document(), declared);
    assert_eq!(declared.len(), OPERATIONS.len(), "an operation is declared twice");
    assert!(PAGES.iter().all(|page| page.starts_with("/api-docs")));
}

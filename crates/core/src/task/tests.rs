//! Tests of the life of a task. Each room is about one thing; `world` holds what they share, and checks after every command what
//! must hold always.

mod world;

mod affinity;
mod agent_rules;
mod amended;
mod approvals;
mod beginnings;
mod budgets;
mod compensation;
mod council;
mod decisions;
mod doubts;
mod effects;
mod failures;
mod flow;
mod gate_table;
mod gates;
mod given_back;
mod healing;
mod holes;
mod models;
mod modes;
mod others;
mod overrule_back;
mod people;
mod questions;
mod recurring;
mod replans;
mod reviews;
mod rollback;
mod shown;
mod stalls;
mod time_limits;
mod transform;
mod work;

mod cost;
mod map;
mod table;
mod walk;

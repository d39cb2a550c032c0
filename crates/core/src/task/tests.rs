//! Tests of the life of a task.

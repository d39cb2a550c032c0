//! A short run of the fuzzer for damaged events; `examples/fuzz_events.rs` runs it for as long as one likes.

#![allow(dead_code, reason = "the program around the rounds is not run here")]

#[path = "../examples/fuzz_events.rs"]
mod fuzz_events;

#[test]
fn damaged_events_are_refused_or_taken_in_but_never_panic() {
    let lives = fuzz_events::lives();
    let (mut read, mut refused) = (0, 0);
    for seed in 0..2_000 {
        let (r, x) = fuzz_events::round(&lives, &mut fuzz_events::Dice(seed));
        (read, refused) = (read + r, refused + x);
    }
    assert!(read > 10_000 && refused > 1_000, "{read} read, {refused} refused: the rounds have proven little");
}

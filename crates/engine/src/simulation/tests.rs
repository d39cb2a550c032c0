use super::*;

/// How many seeds the ordinary tests run; `SEEDS` asks for another number.
fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000)
}

#[test]
fn nothing_that_must_not_happen_happens() {
    let counts = match run_many(1, seeds(), Length::default()) {
        Ok(counts) => counts,
        Err(failure) => panic!("{failure}"),
    };
    let missing = missing(&counts);
    assert!(missing.is_empty() || seeds() < 1_000, "these branches were never reached: {missing:?}\n{counts:#?}");
}

/// Seeds beyond the first thousand that found something once: a witness that knew less than the rules, a report taken for another.
const FOUND_BEFORE: [u64; 9] = [1_960, 2_384, 2_732, 11_765, 12_743, 14_211, 22_746, 24_174, 34_552];

#[test]
fn what_was_found_before_does_not_come_back() {
    for seed in FOUND_BEFORE {
        if let Err(failure) = run(seed, Length::default()) {
            panic!("{failure}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let length = Length::default();
    for seed in [3, 77] {
        let (one, two) = (run(seed, length), run(seed, length));
        assert_eq!(one.map_err(|f| f.to_string()), two.map_err(|f| f.to_string()));
    }
}

/// The seeds a planted fault has to hide from: the first of each part, and how many. The second part is for what is rare in the first.
const PLANTED_SEEDS: [(u64, u64); 2] = [(1, 400), (1_001, 300)];

#[test]
fn every_planted_fault_is_found() {
    let hides = |fault: &&Fault| PLANTED_SEEDS.iter().all(|(first, n)| find(**fault, *first, *n, Length::default()).is_none());
    let hidden: Vec<&Fault> = Fault::ALL.iter().filter(hides).collect();
    assert!(hidden.is_empty(), "the simulation does not see these: {hidden:?}");
}

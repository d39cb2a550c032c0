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

#[test]
fn the_same_seed_is_the_same_run() {
    let length = Length::default();
    for seed in [3, 77] {
        let (one, two) = (run(seed, length), run(seed, length));
        assert_eq!(one.map_err(|f| f.to_string()), two.map_err(|f| f.to_string()));
    }
}

//! The simulated world: the same seed is the same run. `cargo run -p florin-testkit --example simulate` runs seeds to their end.

use florin_testkit::sim::{run, tell};

#[test]
fn the_same_seed_is_the_same_run_and_another_seed_is_another() {
    for seed in [3, 77] {
        let first = run(seed);
        assert_eq!(first, run(seed));
        assert_eq!(first.trace, tell(seed).trace, "telling it changes nothing");
        assert_ne!(first.trace, run(seed + 1).trace);
    }
}

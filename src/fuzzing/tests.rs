//! The seed corpus, and random scenarios, on stable Rust.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// How many scenarios of each kind a normal run tries, at least.
const CASES: u32 = 2_000;

/// All that the fuzzers start from.
#[test]
fn the_seed_corpus_has_no_findings() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
        let mut seeds = 0;
        for seed in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = seed.unwrap().path();
            eprintln!("{}", path.display());
            target(&fs::read(path).unwrap());
            seeds += 1;
        }
        assert!(seeds > 0, "{} is empty", folder.display());
    }
}

fn config() -> ProptestConfig {
    // More with PROPTEST_CASES. No files of seeds: a failure that is found becomes a seed of the fuzzers.
    let more = ProptestConfig::default();
    ProptestConfig { cases: CASES.max(more.cases), failure_persistence: None, ..more }
}

fn any_data() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..1000)
}

proptest! {
    #![proptest_config(config())]

    /// Whatever the plan, the pipeline, the cuts, the timing and the end: both sides see what they must.
    #[test]
    fn the_model_holds(data in any_data()) {
        connections(&data);
    }

    #[test]
    fn any_bytes_arrive(data in any_data()) {
        bytes(&data);
    }
}

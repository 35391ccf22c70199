//! The simulator itself: the same seed is the same run, and it reaches what it is for.
#![allow(missing_docs, clippy::unwrap_used)]

use simulator::coverage::Coverage;
use simulator::run;
use simulator::template::Template;

#[test]
fn a_seed_is_the_same_run_each_time() {
    let template = Template::make().unwrap();
    for seed in [0, 40, 80, 120, 1, 2, 3] {
        let (one, two) = (run(seed, &template).unwrap(), run(seed, &template).unwrap());
        let differs = one.trace.last(usize::MAX).iter().zip(two.trace.last(usize::MAX)).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.trace.fingerprint(), two.trace.fingerprint(), "seed {seed}");
    }
}

#[test]
fn a_few_schedules_break_no_law_and_reach_every_fault() {
    let template = Template::make().unwrap();
    let mut coverage = Coverage::default();
    for seed in (0..400).chain((10..40).map(|n| n * simulator::WHOLE)) {
        let report = run(seed, &template).unwrap();
        assert!(report.stopped.is_none(), "{}", report.failure(60).unwrap_or_default());
        coverage.add(&report.coverage);
    }
    for what in [
        "answer lost: commit",
        "answer lost: submit",
        "crash before a call",
        "crash after a call",
        "clock jumps forward",
        "clock jumps back",
        "database fails: commit",
        "news twice",
        "news late",
        "operation fails half-way",
        "stall at a call",
        "joins: enrolled",
        "joins: born on the target",
        "held",
        "frozen",
        "ends: succeeded",
        "ends: rolled back",
        "ends: aborted",
    ] {
        assert!(coverage.of(what) > 0, "never reached: {what}\n{coverage}");
    }
}

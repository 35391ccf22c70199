//! The removals: at least one for each law of DESIGN §3.

/// A replacement of text that stands in a file once.
#[derive(Debug)]
pub struct Edit {
    /// From the root of the tree.
    pub file: &'static str,
    /// What is there.
    pub find: &'static str,
    /// What is there instead.
    pub replace: &'static str,
}

/// What must fail without the code.
#[derive(Debug, PartialEq, Eq)]
pub enum Killer {
    /// So many schedules in memory and on real databases.
    Schedules(&'static str),
    /// So many schedules with the engine on a real database.
    Whole(&'static str),
}

impl Killer {
    /// What builds it, and what runs it.
    pub fn commands(&self) -> (Vec<String>, Vec<String>) {
        let all = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        match self {
            Self::Schedules(n) => {
                (all(&["build", "-p", "simulator"]), all(&["run", "-p", "simulator", "--", "--schedules", n]))
            }
            Self::Whole(n) => (
                all(&["build", "-p", "simulator"]),
                all(&["run", "-p", "simulator", "--", "--whole", "--schedules", n]),
            ),
        }
    }
}

impl std::fmt::Display for Killer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Schedules(n) => write!(f, "simulate --schedules {n}"),
            Self::Whole(n) => write!(f, "simulate --whole --schedules {n}"),
        }
    }
}

/// One removal.
pub struct Removal {
    /// The law that it breaks.
    pub law: u8,
    /// What is taken out.
    pub what: &'static str,
    /// How.
    pub edits: &'static [Edit],
    /// What must notice.
    pub killer: Killer,
}

const NEXT: &str = "control/domain/src/rollout/next.rs";

/// All of them.
pub const REMOVALS: &[Removal] = &[
    Removal {
        law: 1,
        what: "what every stack should run is not worked out anew when a rollout ends",
        edits: &[Edit {
            file: "control/store/src/records.rs",
            find: "Record::Desires => self.settle_after(process, at).await,",
            replace: "Record::Desires => Ok(()),",
        }],
        killer: Killer::Whole("150"),
    },
    Removal {
        law: 2,
        what: "a success with another configuration than was asked for is a success",
        edits: &[Edit {
            file: "control/domain/src/operation.rs",
            find: "Seen::Ended(Outcome::Succeeded { digest, outputs }) if digest.as_ref() == wanted => {",
            replace: "Seen::Ended(Outcome::Succeeded { digest, outputs }) if digest.is_some() || wanted.is_none() => {",
        }],
        killer: Killer::Schedules("1000"),
    },
    Removal {
        law: 3,
        what: "an operation starts on a stack that another one works on",
        edits: &[
            Edit {
                file: "control/store/src/records.rs",
                find: "where stacks.id = v.column1 and stacks.operation is null\n",
                replace: "where stacks.id = v.column1\n",
            },
            Edit {
                file: NEXT,
                find: "if around.busy.contains(&step.stack) {",
                replace: "if around.busy.len() > 10_000 {",
            },
            Edit {
                file: "control/domain/src/work.rs",
                find: "(Run::Waiting { .. }, Some(piece)) if around.busy.contains(&piece.stack) => {",
                replace: "(Run::Waiting { .. }, Some(piece)) if around.busy.len() > 10_000 => {",
            },
        ],
        killer: Killer::Whole("400"),
    },
    Removal {
        law: 4,
        what: "a gate does not wait for its bake",
        edits: &[Edit {
            file: NEXT,
            find: "    if now < gate.bake_until {\n        return next.wake(gate.bake_until);\n    }\n",
            replace: "",
        }],
        killer: Killer::Schedules("1000"),
    },
    Removal {
        law: 5,
        what: "a wave goes on with one failure more than it tolerates",
        edits: &[Edit {
            file: NEXT,
            find: "    if failed > tolerated {",
            replace: "    if failed > tolerated + 1 {",
        }],
        killer: Killer::Schedules("1000"),
    },
    Removal {
        law: 6,
        what: "approvals of a former plan count",
        edits: &[Edit {
            file: "control/domain/src/rollout/quorum.rs",
            find: "d.verdict == Verdict::Approve && d.plan_hash == plan_hash;",
            replace: "d.verdict == Verdict::Approve && !plan_hash.is_empty();",
        }],
        killer: Killer::Schedules("3000"),
    },
    Removal {
        law: 6,
        what: "an answer to a plan that was not shown is taken",
        edits: &[Edit {
            file: "control/domain/src/rollout/command.rs",
            find: "if plan_hash != rollout.binding(wave) {",
            replace: "if plan_hash.is_empty() {",
        }],
        killer: Killer::Schedules("1000"),
    },
    Removal {
        law: 7,
        what: "an operation that never arrived is not submitted after a crash",
        edits: &[Edit {
            file: "control/engine/src/drive.rs",
            find: "Observation::NeverArrived => missing.push(order),",
            replace: "Observation::NeverArrived => drop(order),",
        }],
        killer: Killer::Whole("60"),
    },
    Removal {
        law: 7,
        what: "a process goes on from a state that was not written",
        edits: &[Edit {
            file: "control/store/src/running.rs",
            find: "if written.is_err() {",
            replace: "if written.is_err() && self.seq < 0 {",
        }],
        killer: Killer::Whole("60"),
    },
    Removal {
        law: 8,
        what: "a step is left out without a sentence",
        edits: &[Edit {
            file: NEXT,
            find: "Reason::new(\"stack_gone\", \"it is not there: its tenant left, or it was never made\")",
            replace: "Reason::new(\"stack_gone\", \"\")",
        }],
        killer: Killer::Schedules("1000"),
    },
    Removal {
        law: 9,
        what: "what people do is recorded as the engine's doing",
        edits: &[Edit {
            file: "control/service/src/lib.rs",
            find: "running.append(&self.store, id, actor, events, again, now)",
            replace: "running.append(&self.store, id, &Actor::engine(), events, again, now)",
        }],
        killer: Killer::Whole("60"),
    },
    Removal {
        law: 10,
        what: "operations in flight are looked at without a pause",
        edits: &[Edit {
            file: "control/engine/src/runner.rs",
            find: "let due = looked.is_none_or(|at| now.0 - at.0 >= SWEEP);",
            replace: "let due = looked.is_none_or(|at| now.0 - at.0 >= 0);",
        }],
        killer: Killer::Whole("20"),
    },
];

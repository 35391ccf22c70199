//! `simulate`: runs schedules from seeds on all cores, and prints what a failure needs to be run again.

use anyhow::Result;
use clap::Parser;
use simulator::coverage::Coverage;
use simulator::report::Report;
use simulator::template::Template;
use simulator::{is_whole, run};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(name = "simulate", about = "Runs the engine against everything that may go wrong, from seeds")]
struct Args {
    /// Run this one schedule, and print all that happens in it.
    #[arg(long)]
    seed: Option<u64>,
    /// How many schedules; every fortieth runs the engine on a real database.
    #[arg(long, default_value_t = 10_000)]
    schedules: u64,
    /// The seed of the first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run new schedules for so many minutes instead, from a seed that the time gives.
    #[arg(long)]
    soak: Option<u64>,
    /// Only schedules that run the engine on a real database.
    #[arg(long)]
    whole: bool,
    /// Go on after a failure, and count them.
    #[arg(long)]
    keep_going: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.seed.is_some() {
        tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    }
    let template = Template::make()?;
    if let Some(seed) = args.seed {
        let report = run(seed, &template)?;
        return Ok(one(&report));
    }
    let (from, most, until) = match args.soak {
        None => (args.from, args.schedules, None),
        Some(minutes) => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            (now.as_secs() << 24, u64::MAX, Some(Instant::now() + Duration::from_secs(minutes * 60)))
        }
    };
    many(&template, from, most, until, &args)
}

fn one(report: &Report) -> ExitCode {
    for line in report.trace.last(usize::MAX) {
        println!("{line}");
    }
    println!("\n{}", report.coverage);
    match report.failure(0) {
        Some(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
        None => {
            println!("seed {}: no law is broken ({:016x})", report.seed, report.trace.fingerprint());
            ExitCode::SUCCESS
        }
    }
}

fn many(template: &Template, from: u64, most: u64, until: Option<Instant>, args: &Args) -> Result<ExitCode> {
    let begin = Instant::now();
    let (next, done, wholes) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let coverage = Mutex::new(Coverage::default());
    let failed: Mutex<Vec<Report>> = Mutex::new(vec![]);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let work = || -> Result<()> {
        while !stop.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= most {
                break;
            }
            let seed = from + if args.whole { n * simulator::WHOLE } else { n };
            let report = run(seed, template)?;
            done.fetch_add(1, Ordering::Relaxed);
            if is_whole(seed) {
                wholes.fetch_add(1, Ordering::Relaxed);
            }
            coverage.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(&report.coverage);
            if report.stopped.is_some() {
                failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(report);
                stop.store(!args.keep_going, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        all.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let (done, wholes) = (done.into_inner(), wholes.into_inner());
    println!("{}", coverage.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
    println!(
        "{done} schedules in {:.1} s, {wholes} of them with the engine on a real database",
        begin.elapsed().as_secs_f64()
    );
    let mut failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failed.sort_by_key(|report| report.seed);
    for report in failed.iter().skip(1) {
        let how = report.stopped.as_ref().map(ToString::to_string).unwrap_or_default();
        println!("seed {}: {}", report.seed, how.lines().next().unwrap_or_default());
    }
    match failed.first().and_then(|report| report.failure(60)) {
        Some(failure) => {
            println!("\n{failure}");
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

//! `simulate`: runs seeds, each in a process of its own, and says how to run a failing one again.
//!
//! usage: simulate [--seeds N] [--from S] [--jobs J]     run N seeds (default 200) from S (default 1)
//!        simulate --seed S [--trace]                    run one seed; --trace prints all that happens
//!
//! Even seeds are of a cluster, odd ones of one process. --alone: odd ones only. --first: ends with the first seed that fails. With --without RULE
//! ([`Rule::ALL`]) that rule is not in force: some seeds are to fail then. With --case NAME ([`Case::ALL`]) seeds are of a
//! directed case.

use std::io::{Read as _, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use coven_simulation::case::Case;
use coven_simulation::rule::Rule;
use coven_simulation::{os, world};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    if arguments == [INSIDE] {
        return inside();
    }
    let without = arguments
        .iter()
        .position(|argument| argument == "--without");
    let is_without = without.is_some();
    let without = without.and_then(|at| Rule::of(arguments.get(at + 1)?));
    let case = arguments.iter().position(|argument| argument == "--case");
    let is_case = case.is_some();
    let case = case.and_then(|at| Case::of(arguments.get(at + 1)?));
    if is_without != without.is_some() || is_case != case.is_some() {
        println!("--without and --case need a name: see tests/simulation/src/rule.rs and case.rs");
        return ExitCode::from(2);
    }
    if !os::fix_addresses() {
        println!("note: {DRAWN}");
    }
    if let Some(seed) = number("--seed") {
        let trace = arguments.iter().any(|argument| argument == "--trace");
        return one(Asked {
            seed,
            trace,
            without,
            case,
        });
    }
    let (seeds, from) = (
        number("--seeds").unwrap_or(200),
        number("--from").unwrap_or(1),
    );
    let stops = arguments.iter().any(|argument| argument == "--first");
    let jobs = number("--jobs").unwrap_or(2);
    let parity = match arguments.iter().any(|argument| argument == "--alone") {
        true => 1,
        false => 0,
    };
    many((from, seeds, parity), jobs, (without, case), stops)
}

/// A seed takes seconds; on a busy machine a minute or two. Seconds.
const HANGS: u32 = 900;

/// What is said where a seed does not say everything.
const DRAWN: &str = "this system draws addresses at random: the same seed may give another history";

/// The argument of a process that runs one seed: which, it reads, so that its memory is the same for all.
const INSIDE: &str = "--inside";

/// Runs the seed that was written to us.
fn inside() -> ExitCode {
    // The first hash table decides how all are seeded, by its place in memory and the time: the same in each run.
    os::end_after(HANGS);
    os::steer(0);
    let _first = foldhash::fast::RandomState::default();
    let mut asked = String::new();
    let read = std::io::stdin().read_to_string(&mut asked);
    let mut words = asked.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (Ok(_), Ok(seed), Ok(trace)) = (read, word().parse(), word().parse()) else {
        return ExitCode::from(2);
    };
    let without = Rule::of(word());
    let case = Case::of(word());
    run(Asked {
        seed,
        trace,
        without,
        case,
    })
}

/// What one process is to run.
#[derive(Debug, Clone, Copy)]
struct Asked {
    seed: u64,
    trace: bool,
    without: Option<Rule>,
    case: Option<Case>,
}

fn run(asked: Asked) -> ExitCode {
    let Asked {
        seed,
        trace,
        without,
        case,
    } = asked;
    // The log is made in any case, so that the same is done with and without a trace.
    let log = tracing_subscriber::fmt().without_time().with_ansi(false);
    let log = log.with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG);
    log.with_writer(move || -> Box<dyn std::io::Write> {
        match trace {
            true => Box::new(std::io::stdout()),
            false => Box::new(std::io::sink()),
        }
    })
    .init();
    let outcome = world::run(seed, trace, without, case);
    for violation in &outcome.violations {
        println!("violation: {violation}");
    }
    println!(
        "seed {seed}: hash {:016x}, {} messages, {} copies, {} violations",
        outcome.hash,
        outcome.messages,
        outcome.copies,
        outcome.violations.len()
    );
    match outcome.violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn one(asked: Asked) -> ExitCode {
    let ended = begin(asked, Stdio::inherit()).and_then(|mut child| child.wait());
    match ended {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// A process for one seed: what libraries keep per process, and where they keep it, is then the same each time.
fn begin(asked: Asked, out: Stdio) -> std::io::Result<std::process::Child> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(INSIDE)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(out)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        let without = asked.without.map_or("none", Rule::name);
        let case = asked.case.map_or("none", Case::name);
        write!(input, "{} {} {without} {case}", asked.seed, asked.trace)?;
    }
    Ok(child)
}

/// A rule that is left out, and a directed case.
type What = (Option<Rule>, Option<Case>);

/// Many seeds, some at a time. `stops`: no further ones when one has failed.
fn many((from, seeds, odd): (u64, u64, u64), jobs: u64, what: What, stops: bool) -> ExitCode {
    let (next, failed) = (AtomicU64::new(from), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let seed = match odd {
                        0 => seed,
                        _ => (from + 2 * (seed - from)) | 1,
                    };
                    if let Some(said) = fails(seed, what) {
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.push((seed, said));
                        if stops {
                            next.store(from + seeds, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort();
    for (seed, said) in &failed {
        let without = what
            .0
            .map_or(String::new(), |rule| format!(" --without {}", rule.name()));
        let case = what
            .1
            .map_or(String::new(), |case| format!(" --case {}", case.name()));
        println!("{said}run it again: scripts/simulate --seed {seed}{without}{case} --trace\n");
    }
    println!("{seeds} seeds from {from}: {} failed", failed.len());
    match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What a seed said, if it failed.
fn fails(seed: u64, (without, case): What) -> Option<String> {
    let trace = false;
    let asked = Asked {
        seed,
        trace,
        without,
        case,
    };
    let ran = begin(asked, Stdio::piped()).and_then(std::process::Child::wait_with_output);
    match ran {
        Ok(ran) if ran.status.success() => None,
        Ok(ran) => Some(format!(
            "{}seed {seed}: {}\n",
            String::from_utf8_lossy(&ran.stdout),
            ran.status
        )),
        Err(error) => Some(format!("seed {seed}: {error}\n")),
    }
}

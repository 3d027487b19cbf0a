//! A short run of every fuzz target with the seeds in the repository, changed at random with a
//! fixed seed. `cargo fuzz` makes the long runs.

use std::{
    collections::BTreeMap,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::{Command, Stdio},
};

use betanet_collector::fuzz::{TARGETS, Target, prometheus_samples};
use fastrand::Rng;

use crate::support::source::root;

/// The largest input. Slow inputs are for `cargo fuzz`.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// Words of the formats.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "'",
    ":",
    ",",
    ";",
    "=",
    "#",
    "&",
    "*",
    "|",
    ">",
    "-",
    "$",
    "..",
    "@",
    "?",
    "!",
    "\\",
    "/",
    "%",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\0",
    "\u{1b}",
    "\u{feff}",
    "é",
    "0",
    "-1",
    "1e400",
    "18446744073709551616",
    "0.1",
    "NaN",
    "null",
    "true",
    "${env:A}",
    "\\u0000",
    "[?",
    "in [",
    "<<",
    "!!str",
    "- ",
    "---\n",
    "ms",
    "KiB",
];

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let own = format!("fuzz/seeds/{}", target.name);
    let folders = std::iter::once(own.as_str()).chain(target.folders.iter().copied());
    let mut paths: Vec<_> = folders
        .flat_map(|folder| std::fs::read_dir(root().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    let read = paths.iter().map(|path| std::fs::read(path).unwrap());
    read.filter(|seed| seed.len() <= INPUT_BYTES_MAX).collect()
}

/// One of the seeds with small changes.
fn mutated(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut input = random.choice(seeds).unwrap().clone();
    for _ in 0..random.usize(1..8) {
        let (from, to) = span(&input, random);
        match random.u8(0..7) {
            0 if from < to => input[from] ^= 1 << random.u8(0..8),
            1 => drop(input.drain(from..to)),
            2 => {
                let copy = input[from..to].to_vec();
                input.splice(from..from, copy);
            }
            3 => {
                let other = random.choice(seeds).unwrap();
                let (start, end) = span(other, random);
                input.splice(from..to, other[start..end].iter().copied());
            }
            4 => {
                input.insert(from, random.u8(..));
            }
            _ => {
                let word = random.choice(WORDS).unwrap().repeat(random.usize(1..4));
                input.splice(from..from, word.bytes());
            }
        }
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}

/// The start and end of a part.
fn span(of: &[u8], random: &mut Rng) -> (usize, usize) {
    let from = random.usize(0..=of.len());
    let most = (of.len() - from).min(64);
    (from, from + random.usize(0..=most))
}

/// Runs a target as often as its definition says, times `FUZZ_TIMES`.
fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "fuzz/seeds/{name} has a seed");
    let times = std::env::var("FUZZ_TIMES").map_or(1, |times| times.parse().unwrap());
    let mut random = Rng::with_seed(13);
    let changed = (0..target.executions * times).map(|_| mutated(&seeds, &mut random));
    for input in seeds.iter().cloned().chain(changed) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(&input))) {
            eprintln!("{name} panics at b\"{}\"", input.escape_ascii());
            resume_unwind(panic);
        }
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_run_here_and_by_cargo_fuzz() {
            let here = [$(stringify!($name)),*];
            let all: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(here[..], all[..]);
            let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
            for name in all {
                assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
                let file = root().join(format!("fuzz/fuzz_targets/{name}.rs"));
                let text = std::fs::read_to_string(file).unwrap();
                assert!(text.contains(&format!("\"{name}\"")), "{name}");
            }
        }
    };
}

targets! {
    yaml config definition jsonpath json prometheus ndjson csv xml text transform timestamp targets relabel
    link request otlp_answer
    remote_write_answer queue retry_after settings
}

/// Reads texts, one JSON string per line, and returns the samples of each; null if it refuses one.
const READER: &str = r#"
import json, sys
from prometheus_client.parser import text_string_to_metric_families
for line in sys.stdin:
    try:
        families = list(text_string_to_metric_families(json.loads(line)))
        print(json.dumps([[s.name, s.labels, repr(s.value)] for f in families for s in f.samples]))
    except Exception:
        print("null")
"#;

/// A sample in a form that both can produce.
type Sample = (String, BTreeMap<String, String>, String);

/// Some lines of Prometheus text, nearly all valid.
fn exposition(random: &mut Rng) -> String {
    const VALUES: &[&str] = &[
        "0",
        "1",
        "-1",
        "+2",
        "1.5",
        "-0",
        "1e3",
        "1E-7",
        "18446744073709551615",
        ".5",
        "5.",
        "0.1",
        "9007199254740993",
        "123456789012345678901234567890",
        "1_000",
        "0x10",
        "x",
    ];
    const LABELS: &[&str] = &[
        "", "a", "é ☃", r"\\", r#"\""#, r"\n", r"\t", "{", "}", ",", "=", "#", " x ", r"a\\\nb",
    ];
    let mut text = String::new();
    for line in 0..random.usize(1..6) {
        match random.u8(0..10) {
            0 => text.push_str("# HELP a what \\\\ it is\n"),
            1 => text.push_str("# a comment\n\n"),
            _ => {
                // The lines of a family are consecutive, and no series is there twice.
                let name = if line < 3 { "a" } else { "b_total" };
                let value = random.choice(LABELS).unwrap();
                let space = random.choice(["", " ", "  ", "\t"]).unwrap();
                let comma = random.choice(["", ","]).unwrap();
                let labels = format!("{{{space}x=\"{value}\",y=\"{line}\"{comma}{space}}}");
                let number = random.choice(VALUES).unwrap();
                let time = random.choice(["", " 1700000000000", " -1"]).unwrap();
                text.push_str(&format!("{name}{labels} {number}{time}\n"));
            }
        }
    }
    text
}

/// The part that both read: `x` and `y`, which the definition names, and the value as a double.
fn in_python(answer: &serde_json::Value) -> Option<Vec<Sample>> {
    let samples = answer.as_array()?.iter().map(|sample| {
        let labels = sample[1].as_object().unwrap().iter();
        let labels =
            labels.filter(|(name, value)| ["x", "y"].contains(&name.as_str()) && *value != "");
        let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let value: f64 = sample[2].as_str().unwrap().parse().unwrap();
        (
            sample[0].as_str().unwrap().to_owned(),
            labels.collect(),
            format!("{value:?}"),
        )
    });
    let mut samples: Vec<_> = samples.collect();
    samples.sort();
    Some(samples)
}

fn in_rust(text: &str) -> Option<Vec<Sample>> {
    let samples = prometheus_samples(text)?.into_iter();
    let samples = samples.map(|(name, mut labels, value)| {
        labels.retain(|_, value| !value.is_empty());
        (name, labels, format!("{value:?}"))
    });
    let mut samples: Vec<_> = samples.collect();
    samples.sort();
    Some(samples)
}

#[test]
#[ignore = "needs Prometheus' client for Python: tests/run"]
fn prometheus_text_is_read_like_the_official_client() {
    let mut random = Rng::with_seed(14);
    let texts: Vec<String> = (0..3_000).map(|_| exposition(&mut random)).collect();
    let lines: String = texts
        .iter()
        .map(|text| serde_json::to_string(text).unwrap() + "\n")
        .collect();
    let client = std::env::var_os("BETANET_E2E_PROMETHEUS_CLIENT").unwrap_or_default();
    let mut python = Command::new("python3")
        .args(["-c", READER])
        .env("PYTHONPATH", client)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let mut read_by_both = 0;
    for (text, answer) in texts.iter().zip(answers.lines()) {
        let theirs = in_python(&serde_json::from_str(answer).unwrap());
        if let (Some(theirs), Some(ours)) = (theirs, in_rust(text)) {
            assert_eq!(ours, theirs, "{text}");
            read_by_both += 1;
        }
    }
    assert_eq!(answers.lines().count(), texts.len());
    assert!(read_by_both > 1_000, "{read_by_both}");
}

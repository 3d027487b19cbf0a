//! `test`: runs `NAME.test.yaml` beside definitions: saved bodies, and the points that they must
//! give.

mod compare;
mod file;
mod load;
mod moving;
mod point;
mod update;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

pub(super) use self::moving::MovingBody;

use self::{
    compare::{Comparison, Found},
    load::Tests,
    point::Point,
};
use super::{CommandError, Output, args::TestArgs, progress};
use crate::{
    definition::{self, Definition},
    receivers::SavedAnswer,
    runtime::heavy::offload,
    telemetry::chain,
    yaml::Diagnostics,
};

/// Where definitions are looked up.
const FOLDER: &str = "pipelines";

/// Succeeds if all tests of all files give what they must.
pub(super) async fn test(options: TestArgs, out: &mut Output) -> Result<ExitCode, CommandError> {
    let paths = match options.paths.as_slice() {
        [] => vec![PathBuf::from(FOLDER)],
        paths => paths.to_vec(),
    };
    let files = load::find(&paths)?;
    let all = files.len();
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for (number, path) in (1..).zip(files) {
        let shown = path.clone();
        let what = || format!("testing {} ({number} of {all})", shown.display());
        let work = offload(move || run_file(&path, options.update));
        match progress::waiting(what, work).await? {
            Ok(reports) => {
                for report in reports {
                    out.text(&report.text);
                    if report.is_passed {
                        passed += 1;
                    } else {
                        failed += 1;
                    }
                }
            }
            Err(error) => {
                failed += 1;
                out.line(format_args!("{}: cannot be run", shown.display()));
                indented(&chain(error.as_ref()), out);
            }
        }
    }
    out.line(format_args!("{}", summary(passed, failed)));
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn summary(passed: usize, failed: usize) -> String {
    let tests = match passed + failed {
        1 => "1 test".to_owned(),
        all => format!("{all} tests"),
    };
    match failed {
        0 => format!("{tests}, all passed"),
        _ => format!("{tests}, {failed} failed"),
    }
}

fn indented(text: &str, out: &mut Output) {
    for line in text.lines() {
        out.line(format_args!("  {line}"));
    }
}

/// What the tests of a definition have saved.
pub(super) struct Recorded {
    /// How a configuration names the definition.
    pub(super) reference: String,
    pub(super) definition: Arc<Definition>,
    /// Where it comes from, if the tests say so.
    pub(super) source: Option<String>,
    /// The first answer of each endpoint, in the order of the definition.
    pub(super) answers: Vec<Option<SavedAnswer>>,
}

/// What is saved of a definition, by its name or file.
pub(super) fn recorded(reference: &str) -> Result<Recorded, CommandError> {
    let tests = load::of_definition(reference)?;
    let endpoints = 0..tests.definition.endpoints.len();
    let saved = |test: usize, endpoint: usize| {
        let answers = tests.bodies.get(test)?;
        answers.get(endpoint)?.as_ref()
    };
    // Answers for elements belong to the test that has the elements.
    let oldest = |endpoint: usize| {
        let parent = |index: &usize| {
            let derivation = tests.definition.endpoints.get(*index)?.derivation.as_ref();
            derivation.map(|of| of.parent)
        };
        let parents = std::iter::successors(Some(endpoint), parent);
        parents.take(tests.definition.endpoints.len()).last()
    };
    let first = |endpoint: usize| {
        let oldest = oldest(endpoint)?;
        let test = (0..tests.bodies.len()).find(|test| saved(*test, oldest).is_some())?;
        saved(test, endpoint).cloned()
    };
    Ok(Recorded {
        reference: reference.to_owned(),
        answers: endpoints.map(first).collect(),
        source: tests.file.source.clone(),
        definition: Arc::clone(&tests.definition),
    })
}

/// What is said of one test.
struct Report {
    text: String,
    is_passed: bool,
}

/// The JSON Schema of a test file, in draft 07.
pub(super) fn schema() -> serde_json::Value {
    definition::schema_of::<file::TestFile>()
}

fn run_file(path: &Path, is_update: bool) -> Result<Vec<Report>, CommandError> {
    let tests = load::read(path)?;
    let polls = tests.bodies.iter();
    let found: Vec<Found> = polls
        .map(|bodies| compare::poll(&tests.definition, bodies.clone()))
        .collect();
    let written = match is_update {
        true => write_points(&tests, &found)?,
        false => 0,
    };
    let mut reports = Vec::new();
    let metrics = compare::metrics(&tests);
    if !metrics.is_empty() {
        let name = format!("{}: metrics", tests.source);
        reports.push(report(&name, &metrics, [String::new(), String::new()]));
    }
    for (index, (test, given)) in tests.file.tests.iter().zip(&found).enumerate() {
        let before = index.checked_sub(1).and_then(|before| found.get(before));
        let comparison = Comparison {
            tests: &tests,
            index,
            test,
            found: given,
            before: before.filter(|_| test.follows),
            differences: Diagnostics::new(),
        };
        let name = format!("{}: {}", tests.source, test.name);
        let points = match given.points.len() {
            1 => ", 1 point".to_owned(),
            count => format!(", {count} points"),
        };
        let ok = match written {
            0 => points,
            _ => format!("{points}, written"),
        };
        let differences = comparison.run(!is_update);
        reports.push(report(&name, &differences, [ok, origin(&tests)]));
    }
    Ok(reports)
}

/// The end of a message about differences: a body of another version is a usual reason.
fn origin(tests: &Tests) -> String {
    let source = tests.file.source.as_deref();
    source.map_or(String::new(), |source| format!(" (bodies: {source})"))
}

fn report(name: &str, differences: &Diagnostics, [ok, wrong]: [String; 2]) -> Report {
    let mut text = match differences.errors().count() {
        0 => format!("{name}: ok{ok}"),
        1 => format!("{name}: 1 difference{wrong}"),
        count => format!("{name}: {count} differences{wrong}"),
    };
    for difference in differences.errors() {
        text.push_str(&format!("\n  {difference}"));
    }
    Report {
        text,
        is_passed: differences.is_empty(),
    }
}

/// Whether a file says exactly these points.
fn are_same(points: Option<&Vec<Point>>, found: &Found) -> bool {
    let Some(points) = points else { return false };
    let mut pairs = points.iter().zip(&found.points);
    let is_same = |(one, other): (&Point, &Point)| {
        one.series == other.series && other.is(one) && one.is(other)
    };
    points.len() == found.points.len() && pairs.all(is_same)
}

/// Writes the points of all tests into their file. Gives how many tests had others.
fn write_points(tests: &Tests, found: &[Found]) -> Result<usize, CommandError> {
    let mut text = tests.text.clone();
    let mut written = 0;
    // From the last one, so that the places of those before it stay.
    for (index, given) in found.iter().enumerate().rev() {
        let expected = tests.points.get(index).and_then(Option::as_ref);
        if are_same(expected, given) {
            continue;
        }
        let Some(node) = tests.node.at(&["tests", &index.to_string()]) else {
            continue;
        };
        text = update::with_points(&text, node, &given.points)?;
        written += 1;
    }
    if written > 0 {
        // What is written can be read again, or the file stays as it is.
        let again = load::from_text(&tests.path, text.clone())?;
        let mut pairs = again.points.iter().zip(found);
        if !pairs.all(|(points, found)| are_same(points.as_ref(), found)) {
            return Err(format!("{}: the points cannot be written", tests.source).into());
        }
        std::fs::write(&tests.path, text)?;
    }
    Ok(written)
}

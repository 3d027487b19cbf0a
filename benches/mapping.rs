//! What reading values costs: `cargo bench --bench mapping`. It fails over its limits.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{fmt::Write as _, hint::black_box};

use allocation_counter::{AllocationInfo, measure};
use betanet_collector::{
    definition::{self, Transform},
    pipeline::Document,
    processors::mapping,
};
use tokio::time::Instant;

type Error = Box<dyn std::error::Error>;

/// Of the stack of this thread.
const STACK_BYTES: usize = 512 * 1024;

const PROGRAM: &str = r#"[.[] as $s | $s.mounts[]
    | {station: $s.name, format, listeners: .listeners.current,
       load: ($s.load | rtrimstr(" %") | tonumber), big: $s.big}]"#;

const STATIONS: &str = r#"[{"name":"studio-a","load":"28 %","uptime":"5d3h","big":18446744073709551615,"mounts":[{"format":"mp3","listeners":{"current":7}},{"format":"aac","listeners":{"current":3}}]},{"name":"studio-b","load":"1 %","uptime":"1d0h","big":9007199254740993,"mounts":[{"format":"mp3","listeners":{"current":1}}]}]"#;

fn main() -> Result<(), Error> {
    println!(
        "| | time | limit | allocations | limit | MB at most | limit |\n|---|---|---|---|---|---|---|"
    );
    let mut is_within = plain()?;
    is_within &= transform()?;
    is_within &= large()?;
    match is_within {
        true => Ok(()),
        false => Err("over a limit".into()),
    }
}

/// Limits: of the time in microseconds, and of what is allocated.
struct Limits {
    micros: f64,
    allocations: u64,
    megabytes: f64,
}

/// Prints a row; false if it is over a limit.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(what: &str, micros: f64, spent: &AllocationInfo, limits: &Limits) -> bool {
    let megabytes = spent.bytes_max as f64 / 1e6;
    println!(
        "| {what} | {micros:.1} µs | {} µs | {} | {} | {megabytes:.1} | {} |",
        limits.micros, spent.count_total, limits.allocations, limits.megabytes
    );
    micros <= limits.micros
        && spent.count_total <= limits.allocations
        && megabytes <= limits.megabytes
}

/// Microseconds a round: the best of some, for others use the processor as well.
fn time(rounds: u32, mut round: impl FnMut()) -> f64 {
    let batches = (0..10).map(|_| {
        let started = Instant::now();
        (0..rounds).for_each(|_| round());
        started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
    });
    batches.fold(f64::INFINITY, f64::min)
}

/// A document of 300 bytes and twelve plain paths.
fn plain() -> Result<bool, Error> {
    let (mut body, mut text) = (
        String::from("{\"node\":{"),
        String::from("endpoints: {e: {path: /}}\nmetrics:\n"),
    );
    for number in 0..12 {
        let comma = if number == 0 { "" } else { "," };
        write!(
            body,
            "{comma}\"counter_name_{number:02}\":{}",
            1000 + number
        )?;
        writeln!(
            text,
            "  - {{name: m{number}, instrument: gauge, value: $.node.counter_name_{number:02}}}"
        )?;
    }
    body.push_str("}}");
    let definition = definition::from_text("bench", "bench.yaml", &text)?;
    let document = serde_json::from_str(&body)?;
    let round = || {
        drop(black_box(mapping::map_document(
            &definition,
            0,
            &Document::only(&document, body.len()),
        )));
    };
    let spent = measure(round);
    let limits = Limits {
        micros: 5.0,
        // A list for the elements of each path made 18 of them before; now a plain path needs none.
        allocations: 18,
        megabytes: 0.01,
    };
    let micros = time(20_000, round);
    Ok(report(
        &format!("12 paths, {} bytes", body.len()),
        micros,
        &spent,
        &limits,
    ))
}

/// A program on a document of 300 bytes.
fn transform() -> Result<bool, Error> {
    let program = Transform::new(PROGRAM)?;
    let document = serde_json::from_str(STATIONS)?;
    let round = || drop(black_box(program.run(&document, STACK_BYTES, 1 << 20)));
    let spent = measure(round);
    let limits = Limits {
        micros: 60.0,
        allocations: 2000,
        megabytes: 0.1,
    };
    let micros = time(2_000, round);
    Ok(report(
        &format!("transform, {} bytes", STATIONS.len()),
        micros,
        &spent,
        &limits,
    ))
}

/// Twenty thousand elements.
fn large() -> Result<bool, Error> {
    let mut body = String::from("[");
    for number in 0..20_000 {
        let comma = if number == 0 { "" } else { "," };
        write!(
            body,
            "{comma}{{\"id\":\"node-{number:05}\",\"zone\":\"eu-west\",\"state\":\"active\",\"packets\":{number},\"bytes\":{},\"latency_ms\":0.25,\"peers\":12}}",
            number * 1500
        )?;
    }
    body.push(']');
    let text = "endpoints: {e: {path: /}}\nmetrics: [{name: m, instrument: counter, for_each: $, \
        value: $.packets, attributes: {id: $.id, zone: $.zone}, max_series: 20000}]\n";
    let definition = definition::from_text("bench", "bench.yaml", text)?;
    let document = serde_json::from_str(&body)?;
    let round = || {
        drop(black_box(mapping::map_document(
            &definition,
            0,
            &Document::only(&document, body.len()),
        )));
    };
    let spent = measure(round);
    let limits = Limits {
        micros: 150_000.0,
        allocations: 200_000,
        megabytes: 60.0,
    };
    let micros = time(3, round);
    let what = format!(
        "20000 elements, {:.1} MB",
        f64::from(u32::try_from(body.len())?) / 1e6
    );
    Ok(report(&what, micros, &spent, &limits))
}

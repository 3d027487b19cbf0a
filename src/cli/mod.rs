//! The command line: one file for each command.

mod args;
mod check;
mod completions;
mod components;
mod definition_test;
mod demo;
mod demo_definition;
mod demo_story;
mod healthcheck;
mod load;
mod man;
mod output;
mod print_config;
mod progress;
mod run;
mod saved;
mod schema;
mod simulate;
mod suggest;
mod table;
mod top;
#[cfg(test)]
mod tests;
mod validate;
mod watch;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use clap::Parser as _;

use self::{
    args::{Args, Command, RunArgs},
    output::Output,
};
use crate::{
    config::Registers,
    runtime::{RuntimeError, build_common_runtime, memory},
    telemetry::chain,
};

/// Why a command failed. It is printed once, as a chain.
type CommandError = Box<dyn std::error::Error + Send + Sync>;

/// Runs the command that `arguments` name, with the components of this collector.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    main_with(&Registers::builtin(), arguments)
}

/// Runs the command that `arguments` name. Configurations can use the components of `registers`.
pub fn main_with(registers: &Registers, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    memory::disable_huge_pages();
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => {
            // Help and version go to standard output and are not a failure.
            let failed = error.use_stderr();
            drop(error.print());
            return if failed {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match dispatch(args, registers) {
        Ok(code) => code,
        Err(error) => {
            Output::stderr().line(format_args!("Error: {}", chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: Args, registers: &Registers) -> Result<ExitCode, CommandError> {
    let mut out = Output::stdout();
    let sources = args.sources;
    let command = args.command.unwrap_or(Command::Run(RunArgs::default()));
    match command {
        Command::Run(options) => {
            let runtime = runtime()?;
            let ended = runtime.block_on(run::run(registers, &sources, &options));
            // An operation that hangs in the system, such as a pipe without a reader, delays the
            // end no longer than this.
            runtime.shutdown_timeout(LAST);
            ended
        }
        Command::Validate => runtime()?.block_on(validate::validate(registers, &sources)),
        Command::Components => components::components(registers, &mut out),
        Command::PrintConfig(options) => {
            print_config::print_config(registers, &sources, options, &mut out)
        }
        Command::Schema(options) => schema::schema(registers, options, &mut out),
        Command::Check(options) => {
            runtime()?.block_on(check::check(registers, &sources, options, &mut out))
        }
        Command::Suggest(options) => {
            runtime()?.block_on(suggest::suggest(registers, &sources, options, &mut out))
        }
        Command::Test(options) => runtime()?.block_on(definition_test::test(options, &mut out)),
        Command::Simulate(options) => simulate::simulate(registers, &sources, &options, &mut out),
        Command::Demo(options) => runtime()?.block_on(demo::demo(options, &sources.set, &mut out)),
        Command::Top(options) => top::top(&options, &mut out),
        Command::Healthcheck(options) => {
            runtime()?.block_on(healthcheck::healthcheck(&options, &mut out))
        }
        Command::Completions(options) => completions::completions(options, &mut out),
        Command::Man(options) => man::man(&options, &mut out),
    }
}

/// The longest wait for threads after everything has stopped.
const LAST: Duration = Duration::from_secs(1);

fn runtime() -> Result<tokio::runtime::Runtime, RuntimeError> {
    build_common_runtime(std::env::var_os("TOKIO_WORKER_THREADS").as_deref())
}

//! What paths cannot say: a jq program that turns a document into another one.
//!
//! It is compiled once. While it runs everything is bounded: a program that runs away costs its own
//! document, and neither the memory of the process nor a thread for ever (`sandbox.rs`).

mod budget;
mod natives;
mod run_state;
mod sandbox;
mod value;
mod wrong;

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use jaq_core::{
    Compiler, Ctx, DataT, Native, Vars,
    compile::Filter,
    data::HasLut,
    load::{Arena, File, Loader},
};
use jaq_json::Val;
use serde_json::Value;

use self::{budget::Budget, run_state::Abandoned};
pub use self::{
    budget::Runaway,
    run_state::{Awaited, Running},
    wrong::WrongProgram,
};

/// The longest program that is taken, in bytes.
const PROGRAM_BYTES_MAX: usize = 64 * 1024;

/// A compiled program, shared by all targets.
pub struct Transform {
    text: String,
    filter: Filter<Native<Kind>>,
    /// Runs that nobody waits for any more and that have not come to an end.
    abandoned: Abandoned,
    /// Whether the last run gave no document.
    has_failed: AtomicBool,
}

/// Why a program gives no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// It says that something is wrong, or does what cannot be done.
    #[error("the program fails: {0}")]
    Failed(String),
    /// It does not come to an end within its bounds.
    #[error(transparent)]
    RunsAway(#[from] Runaway),
}

/// What a program gave.
#[derive(Debug, PartialEq)]
pub struct Transformed {
    /// Its output; of several, an array.
    pub value: Value,
    /// What that takes in memory, about.
    pub bytes: u64,
}

/// What values and filters of ours are.
enum Kind {}

/// What filters know of the run.
#[derive(Clone, Copy)]
struct Run<'a> {
    lut: &'a jaq_core::Lut<Kind>,
    budget: &'a Budget,
}

impl DataT for Kind {
    type V<'a> = Val;
    type Data<'a> = Run<'a>;
}

impl<'a> HasLut<'a, Kind> for Run<'a> {
    fn lut(&self) -> &'a jaq_core::Lut<Kind> {
        self.lut
    }
}

impl Transform {
    /// Compiles a program.
    ///
    /// # Errors
    /// If it is not jq, or uses what is not there.
    pub fn new(text: &str) -> Result<Self, WrongProgram> {
        if text.len() > PROGRAM_BYTES_MAX {
            return Err(WrongProgram::too_long(PROGRAM_BYTES_MAX));
        }
        // First as it stands: mistakes have their place then.
        drop(compiled(sandbox::prelude(), text)?);
        let main = sandbox::main(text).ok_or_else(WrongProgram::unknown)?;
        let filter = compiled(sandbox::guarded_prelude(main), sandbox::MAIN)?;
        Ok(Self {
            text: text.to_owned(),
            filter,
            abandoned: Abandoned::default(),
            has_failed: AtomicBool::new(false),
        })
    }

    /// The program.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Runs it on a document of so many bytes of text, in `stack_bytes` of the stack of this
    /// thread. Its output takes `limit_bytes` at most.
    ///
    /// # Errors
    /// If it fails or runs away.
    pub fn run(
        &self,
        document: &Value,
        stack_bytes: usize,
        limit_bytes: u64,
    ) -> Result<Transformed, TransformError> {
        let budget = Budget::new(Budget::bytes_for(document), stack_bytes);
        self.run_within(&budget, document, limit_bytes)
    }

    fn run_within(
        &self,
        budget: &Budget,
        document: &Value,
        limit_bytes: u64,
    ) -> Result<Transformed, TransformError> {
        let run = Run {
            lut: &self.filter.lut,
            budget,
        };
        let context = Ctx::<Kind>::new(run, Vars::new([]));
        let outputs = self.filter.id.run((context, value::of(document)));
        let mut gathered = value::Outputs::new(limit_bytes);
        for output in outputs {
            // What it says in despair is of no use.
            budget.check()?;
            let output = output.map_err(|exception| match exception.get_err() {
                Ok(error) => TransformError::Failed(shortened(&value::text(&error.into_val()))),
                Err(_) => TransformError::Failed("it stops the program".to_owned()),
            })?;
            gathered.add(&output)?;
        }
        budget.check()?;
        Ok(gathered.into_document())
    }

    /// Whether a run that took too long still goes on.
    pub fn is_running_away(&self) -> bool {
        self.abandoned.is_any()
    }

    /// What a run and who waits for it hold, so that one that takes too long is remembered.
    pub fn begin(&self) -> (Running, Awaited) {
        self.abandoned.begin()
    }

    /// Notes whether it gave a document; whether it failed and did not the time before.
    pub fn notes_failure(&self, failed: bool) -> bool {
        !self.has_failed.swap(failed, Ordering::Relaxed) && failed
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transform").field(&self.text).finish()
    }
}

fn compiled(
    prelude: Vec<jaq_core::load::parse::Def<&str>>,
    code: &str,
) -> Result<Filter<Native<Kind>>, WrongProgram> {
    let arena = Arena::default();
    let file = File { code, path: () };
    let modules = Loader::new(prelude)
        .load(&arena, file)
        .map_err(|errors| WrongProgram::of_loading(code, errors))?;
    Compiler::default()
        .with_funs(natives::all())
        .compile(modules)
        .map_err(|errors| WrongProgram::of_compiling(code, errors))
}

/// A bounded excerpt of what a program says.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;

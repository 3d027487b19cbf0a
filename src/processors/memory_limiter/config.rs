//! The configuration of `memory_limiter`.

use std::sync::{Arc, Mutex, OnceLock};

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{Limiter, LimiterCounters, MemoryLimiter, Resident};
use crate::{
    pipeline::Processor,
    processors::{
        contract::{self, ProcessorConfig, ProcessorContext, ProcessorType},
        foreign,
    },
    settings::Duration,
    telemetry::process,
    yaml::{Cursor, Diagnostics},
};

const MIB: u64 = 1024 * 1024;

/// The default share of the limit for spikes, as in the Collector.
const SPIKE_PERCENTAGE: u64 = 20;

/// The entry of the register.
pub const TYPE: ProcessorType = ProcessorType {
    name: "memory_limiter",
    aliases: &[],
    about: "Refuses polls when the collector uses too much memory.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &foreign::MEMORY_LIMITER,
    decode: contract::decode::<Config>,
};

/// Refuses polls when the collector uses too much memory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Time between two checks of the memory. 1s is a good choice.
    pub check_interval: Duration,
    /// The hard limit: the most resident memory, in MiB.
    pub limit_mib: u64,
    /// The distance of the soft limit from the hard limit, in MiB. Default: 20 % of it.
    pub spike_limit_mib: u64,
    /// The limit as a percentage of the memory of the control group or the machine, if there is no
    /// `limit_mib`.
    pub limit_percentage: u64,
    /// `spike_limit_mib` as a percentage of that memory.
    pub spike_limit_percentage: u64,
}

impl ProcessorConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let mut error = |key: &str, message: &str| at.error(&[key], message, diagnostics);
        if self.check_interval.is_zero() {
            error("check_interval", "must be greater than zero");
        }
        if self.limit_mib == 0 && self.limit_percentage == 0 {
            error("limit_mib", "needs `limit_mib` or `limit_percentage`");
        }
        for (key, percentage) in [
            ("limit_percentage", self.limit_percentage),
            ("spike_limit_percentage", self.spike_limit_percentage),
        ] {
            if percentage > 100 {
                error(key, "expected a percentage from 1 to 100");
            }
        }
        if self.limit_mib > 0 && self.spike_limit_mib >= self.limit_mib {
            error("spike_limit_mib", "must be smaller than `limit_mib`");
        }
        if self.limit_percentage > 0 && self.spike_limit_percentage >= self.limit_percentage {
            let message = "must be smaller than `limit_percentage`";
            error("spike_limit_percentage", message);
        }
    }

    fn build(&self, context: &ProcessorContext<'_>) -> Arc<dyn Processor> {
        Arc::new(MemoryLimiter(Arc::new(self.limiter(
            context.id,
            process::resident_bytes,
            process::memory_bytes,
            context,
        ))))
    }
}

impl Config {
    /// The limiter. The arguments read the memory of the process and of the machine.
    pub(super) fn limiter(
        &self,
        id: &str,
        resident: Resident,
        available: Resident,
        context: &ProcessorContext<'_>,
    ) -> Limiter {
        let [hard_bytes, soft_bytes] = self.limits(available);
        if resident().is_none() {
            tracing::warn!(
                processor = id,
                "the memory limit does not apply: /proc has no memory size"
            );
        }
        Limiter {
            id: id.to_owned(),
            soft_bytes,
            hard_bytes,
            check_interval: self.check_interval.get(),
            resident,
            state: Mutex::default(),
            status: OnceLock::new(),
            board: Arc::clone(context.board),
            counters: LimiterCounters::new(id, context.meter),
        }
    }

    /// The hard and the soft limit in bytes.
    fn limits(&self, available: Resident) -> [u64; 2] {
        let share = |percentage: u64| {
            let all = available().unwrap_or(u64::MAX);
            (all / 100).saturating_mul(percentage)
        };
        let (limit, spike) = match self.limit_mib {
            0 => (
                share(self.limit_percentage),
                share(self.spike_limit_percentage),
            ),
            mib => (
                mib.saturating_mul(MIB),
                self.spike_limit_mib.saturating_mul(MIB),
            ),
        };
        let spike = match spike {
            0 => limit / 100 * SPIKE_PERCENTAGE,
            spike => spike,
        };
        [limit, limit.saturating_sub(spike)]
    }
}

//! The numbers of the fields of an OTLP message, from its `metrics.proto`.

pub(super) const RESOURCE_METRICS: u8 = 1;
pub(super) const RESOURCE: u8 = 1;
pub(super) const RESOURCE_ATTRIBUTES: u8 = 1;
pub(super) const SCOPE_METRICS: u8 = 2;
pub(super) const SCHEMA_URL: u8 = 3;
pub(super) const SCOPE: u8 = 1;
pub(super) const SCOPE_NAME: u8 = 1;
pub(super) const SCOPE_VERSION: u8 = 2;
pub(super) const SCOPE_ATTRIBUTES: u8 = 3;
pub(super) const METRICS: u8 = 2;
pub(super) const NAME: u8 = 1;
pub(super) const DESCRIPTION: u8 = 2;
pub(super) const UNIT: u8 = 3;
pub(super) const GAUGE: u8 = 5;
pub(super) const SUM: u8 = 7;
pub(super) const DATA_POINTS: u8 = 1;
pub(super) const TEMPORALITY: u8 = 2;
pub(super) const IS_MONOTONIC: u8 = 3;
pub(super) const START_TIME: u8 = 2;
pub(super) const TIME: u8 = 3;
pub(super) const AS_DOUBLE: u8 = 4;
pub(super) const AS_INT: u8 = 6;

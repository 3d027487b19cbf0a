//! The contracts between the stages; no IO, no YAML.

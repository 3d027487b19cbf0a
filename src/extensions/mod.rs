//! Extensions: services for the operator and for other components. This file is their register.

mod contract;
pub mod file_storage;
pub mod health_check;
pub mod status_page;

pub use contract::{Extension, ExtensionConfig, ExtensionContext, ExtensionType};

/// All types of extensions.
pub const TYPES: &[ExtensionType] = &[file_storage::TYPE, health_check::TYPE, status_page::TYPE];

//! Extensions: services for the operator and for other components. This file is their register.

mod authenticator;
pub mod basicauth;
pub mod bearertokenauth;
mod contract;
pub mod digestauth;
pub mod file_storage;
pub mod health_check;
pub mod oauth2client;
pub mod session;
pub mod sigv4auth;
pub mod status_page;

pub use contract::{
    AuthenticatorContext, Extension, ExtensionConfig, ExtensionContext, ExtensionType,
};

/// All types of extensions.
pub const TYPES: &[ExtensionType] = &[
    basicauth::TYPE,
    bearertokenauth::TYPE,
    digestauth::TYPE,
    file_storage::TYPE,
    health_check::TYPE,
    oauth2client::TYPE,
    session::TYPE,
    sigv4auth::TYPE,
    status_page::TYPE,
];

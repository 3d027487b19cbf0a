//! The vocabulary of the configuration: types that cannot hold a wrong value.

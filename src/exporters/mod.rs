//! Where readings go: the register of exporters.

//! What turns a poll into readings: the register of processors.

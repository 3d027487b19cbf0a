//! Where polls come from: the register of receivers.

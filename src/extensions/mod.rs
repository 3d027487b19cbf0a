//! What serves the operator beside the data: the register of extensions.

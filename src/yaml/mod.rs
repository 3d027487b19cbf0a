//! YAML with positions: a tree, a decoder that finds all mistakes, diagnostics.

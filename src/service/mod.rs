//! The running whole: graph, start (exporters first), drain (receivers first).

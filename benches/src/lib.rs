//! Benchmarks of the layer.

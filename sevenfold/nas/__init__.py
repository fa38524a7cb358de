"""Neural architecture search: spaces, encodings, benchmarks, predictors and search algorithms."""

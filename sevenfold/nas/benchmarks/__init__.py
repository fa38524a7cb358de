"""Benchmark tables: what training an architecture gave, answered without training it."""

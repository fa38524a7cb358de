"""Noise that makes a predicted curve look like one training."""

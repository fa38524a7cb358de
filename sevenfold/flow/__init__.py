"""Optical flow: estimators (RAFT, deep equilibrium), data, measures and pictures."""

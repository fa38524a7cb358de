"""Sevenfold: the mathematics of seven papers in plain PyTorch and NumPy."""

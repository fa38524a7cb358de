"""Data modules of optical flow; the data sets themselves are in ``sevenfold.flow.data``."""

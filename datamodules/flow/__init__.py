"""Data of optical flow: every item is a dictionary, described in ``datamodules.flow.pairs``."""

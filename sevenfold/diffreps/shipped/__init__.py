"""Denoisers of the package: half-precision weights and cards that say how they were trained.

``prior: {name: shipped, which: scapes}`` opens one; ``python -m sevenfold.diffreps.shipped CHECKPOINT FILE``
makes the two files of a checkpoint of ``denoiser_trainer``.
"""

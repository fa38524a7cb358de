"""Multi-view worlds that need no download: cameras, ray marching, procedural scenes, and what judges samples.

``WORLD_PRIORS`` are built for a world and its ring of views.
"""

WORLD_PRIORS: dict[str, str] = {
    "gmm": "sevenfold.diffreps.priors.multiview:multiview_gmm",
    "kde": "sevenfold.diffreps.priors.multiview:multiview_kde",
    "learned": "sevenfold.diffreps.priors.by_view:learned",
}

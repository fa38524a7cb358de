"""Multi-view worlds without downloads: cameras, ray marching, procedural scenes, and scores of samples.

``WORLD_PRIORS`` are built for a world and its ring of views.
"""

from sevenfold.tables import ComponentTable

WORLD_PRIORS = ComponentTable(
    {
        "gmm": "sevenfold.diffreps.priors.multiview:multiview_gmm",
        "kde": "sevenfold.diffreps.priors.multiview:multiview_kde",
        "learned": "sevenfold.diffreps.priors.by_view:learned",
    },
    holds="priors of views of a world",
    given=(
        "world",
        "views",
    ),
)

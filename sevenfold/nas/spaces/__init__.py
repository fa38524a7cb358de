"""Search spaces: what an architecture is, how to draw, change and name one.

Nothing heavy is imported here; build one by name with
``sevenfold.config.build(SPACES, {"name": "nb201"}, "space")`` or import its class from its own file.
"""

from sevenfold.tables import ComponentTable

SPACES = ComponentTable(
    {
        "darts": "sevenfold.nas.spaces.darts:DARTS",
        "nb101": "sevenfold.nas.spaces.nb101:NB101",
        "nb201": "sevenfold.nas.spaces.nb201:NB201",
        "nlp": "sevenfold.nas.spaces.nlp:NLP",
    },
    holds="search spaces",
)

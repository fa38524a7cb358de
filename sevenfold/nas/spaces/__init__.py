"""Search spaces: sets of architectures that can be sampled, mutated and named.

Build one by name with ``sevenfold.config.build(SPACES, {"name": "nb201"}, "space")``, or import its class:
``from sevenfold.nas import NB201``.
"""

from typing import Annotated

from sevenfold.config import Node
from sevenfold.tables import ComponentTable, OneOf

SPACES = ComponentTable(
    {
        "darts": "sevenfold.nas.spaces.darts:DARTS",
        "nb101": "sevenfold.nas.spaces.nb101:NB101",
        "nb201": "sevenfold.nas.spaces.nb201:NB201",
        "nlp": "sevenfold.nas.spaces.nlp:NLP",
        "typed": "sevenfold.nas.spaces.typed:Typed",
    },
    holds="search spaces",
)

SpaceNode = Annotated[Node, OneOf("sevenfold.nas.spaces:SPACES")]
"""Name and options of a search space."""

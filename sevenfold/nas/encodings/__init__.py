"""Encodings: pure functions ``encode(space, archs)`` from a population to rows of numbers, (n, d).

Which encoding serves what (White et al. 2020, A Study on Encodings for Neural Architecture Search): sample
and perturb in an adjacency encoding, predict from a path encoding. A path encoding may be cut to the short
paths, because long ones are rare; each slot of an adjacency matrix is used about equally often, so cutting it
loses information in proportion.
"""

from typing import Annotated

from sevenfold.tables import ComponentTable, OneOf

ENCODINGS = ComponentTable(
    {
        "adj": "sevenfold.nas.encodings.adjacency:adj",
        "adj_onehot": "sevenfold.nas.encodings.adjacency:adj_onehot",
        "adj_cat": "sevenfold.nas.encodings.adjacency:adj_cat",
        "adj_cont": "sevenfold.nas.encodings.adjacency:adj_cont",
        "trunc_adj": "sevenfold.nas.encodings.adjacency:trunc_adj",
        "trunc_adj_onehot": "sevenfold.nas.encodings.adjacency:trunc_adj_onehot",
        "path": "sevenfold.nas.encodings.path:path",
        "path_cat": "sevenfold.nas.encodings.path:path_cat",
        "path_cont": "sevenfold.nas.encodings.path:path_cont",
        "trunc_path": "sevenfold.nas.encodings.path:trunc_path",
        "trunc_path_cat": "sevenfold.nas.encodings.path:trunc_path_cat",
        "trunc_path_cont": "sevenfold.nas.encodings.path:trunc_path_cont",
        "gcn": "sevenfold.nas.encodings.graph:gcn",
    },
    holds="encodings of architectures",
    given=("space", "archs"),
)

EncodingName = Annotated[str, OneOf("sevenfold.nas.encodings:ENCODINGS")]
"""Name of an encoding."""

DECODERS = ComponentTable(
    {
        "adj": "sevenfold.nas.encodings.adjacency:from_adj",
        "adj_onehot": "sevenfold.nas.encodings.adjacency:from_adj_onehot",
        "adj_cat": "sevenfold.nas.encodings.adjacency:from_adj_cat",
        "adj_cont": "sevenfold.nas.encodings.adjacency:from_adj_cont",
        "path": "sevenfold.nas.encodings.path:from_path",
    },
    holds="inverses of encodings",
    given=("space", "rows"),
)

DISTANCES = ComponentTable(
    {
        "adj": "sevenfold.nas.encodings.distance:adj",
        "adj_cont": "sevenfold.nas.encodings.distance:adj_cont",
        "nasbot": "sevenfold.nas.encodings.distance:nasbot",
        "path": "sevenfold.nas.encodings.distance:path",
        "path_cont": "sevenfold.nas.encodings.distance:path_cont",
        "trunc_path": "sevenfold.nas.encodings.distance:trunc_path",
        "trunc_path_cont": "sevenfold.nas.encodings.distance:trunc_path_cont",
    },
    holds="distances between architectures",
    given=("space", "first", "second"),
)

DistanceName = Annotated[str, OneOf("sevenfold.nas.encodings:DISTANCES")]
"""Name of a distance between architectures."""

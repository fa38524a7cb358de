"""Where pieces of a study and calls of a function are computed, by the name a configuration calls it."""

from typing import Annotated

from sevenfold.config import Node
from sevenfold.tables import ComponentTable, OneOf

EXECUTORS = ComponentTable(
    {
        "here": "sevenfold.executors.here:Here",
        "processes": "sevenfold.executors.processes:Processes",
        "ray": "sevenfold.executors.ray_cluster:RayCluster",
    },
    holds="places where pieces of a study are computed",
    extras={"ray": "scale"},
)

CALLS = ComponentTable(
    {
        "here": "sevenfold.executors.calls:HereCalls",
        "processes": "sevenfold.executors.worker_calls:WorkerCalls",
    },
    holds="places where calls of a function are computed",
)

CallsNode = Annotated[Node, OneOf("sevenfold.executors:CALLS")]
"""Where calls of a function are computed, and the options of that place."""

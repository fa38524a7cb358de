"""Where the pieces of a study are computed, by the name a configuration calls it."""

from sevenfold.tables import ComponentTable

EXECUTORS = ComponentTable(
    {
        "here": "sevenfold.executors.here:Here",
        "processes": "sevenfold.executors.processes:Processes",
        "ray": "sevenfold.executors.ray_cluster:RayCluster",
    },
    holds="places where pieces of a study are computed",
    extras={"ray": "scale"},
)

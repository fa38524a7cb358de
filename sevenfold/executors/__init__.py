"""Where the pieces of a study are computed, by the name a configuration calls it."""

EXECUTORS: dict[str, str] = {
    "here": "sevenfold.executors.here:Here",
    "processes": "sevenfold.executors.processes:Processes",
    "ray": "sevenfold.executors.ray_cluster:RayCluster",
}

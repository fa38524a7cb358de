"""Where pieces of a study and calls of a function are computed, by the name a configuration calls it."""

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

CALLS = ComponentTable(
    {
        "here": "sevenfold.executors.calls:HereCalls",
        "processes": "sevenfold.executors.worker_calls:WorkerCalls",
    },
    holds="places where calls of a function are computed",
)

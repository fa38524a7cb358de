"""Optical flow: estimators (RAFT, deep equilibrium), data, measures and pictures."""

from sevenfold.tables import ComponentTable

NETWORKS = ComponentTable(
    {
        "raft": "sevenfold.flow.raft:RAFT",
        "deq_flow": "sevenfold.flow.deq_flow:DEQFlow",
    },
    holds="optical-flow networks",
)

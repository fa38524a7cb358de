"""Optical flow: estimators (RAFT, deep equilibrium), data, measures and pictures."""

NETWORKS: dict[str, str] = {
    "raft": "sevenfold.flow.raft:RAFT",
    "deq_flow": "sevenfold.flow.deq_flow:DEQFlow",
}

"""Optical flow: estimators (RAFT, deep equilibrium), data, measures and pictures."""

from typing import TYPE_CHECKING

from sevenfold.lazy import lazy
from sevenfold.tables import ComponentTable

if TYPE_CHECKING:
    from sevenfold.flow.checkpoints import load_weights
    from sevenfold.flow.color import flow_colors
    from sevenfold.flow.deq_flow import DEQFlow
    from sevenfold.flow.estimator import Estimator, load
    from sevenfold.flow.formats import read_flow, write_flow
    from sevenfold.flow.losses import sequence_loss
    from sevenfold.flow.metrics import EndPointError
    from sevenfold.flow.raft import RAFT

NETWORKS = ComponentTable(
    {
        "raft": "sevenfold.flow.raft:RAFT",
        "deq_flow": "sevenfold.flow.deq_flow:DEQFlow",
    },
    holds="optical-flow networks",
)

_PUBLIC = {
    "DEQFlow": "sevenfold.flow.deq_flow:DEQFlow",
    "Estimator": "sevenfold.flow.estimator:Estimator",
    "EndPointError": "sevenfold.flow.metrics:EndPointError",
    "RAFT": "sevenfold.flow.raft:RAFT",
    "flow_colors": "sevenfold.flow.color:flow_colors",
    "load": "sevenfold.flow.estimator:load",
    "load_weights": "sevenfold.flow.checkpoints:load_weights",
    "read_flow": "sevenfold.flow.formats:read_flow",
    "sequence_loss": "sevenfold.flow.losses:sequence_loss",
    "write_flow": "sevenfold.flow.formats:write_flow",
}
__all__ = [
    "DEQFlow",
    "EndPointError",
    "Estimator",
    "RAFT",
    "flow_colors",
    "load",
    "load_weights",
    "read_flow",
    "sequence_loss",
    "write_flow",
]
__getattr__, __dir__ = lazy(__name__, _PUBLIC)

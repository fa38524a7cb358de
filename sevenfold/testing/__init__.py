"""Contract kits: one call says whether a component of one's own keeps the contract of its kind.

The project's own tests use the same kits. A kit runs its checks in order and raises :class:`ContractError`,
which names the check that failed and says what it expects.
"""

from typing import TYPE_CHECKING

from sevenfold.lazy import lazy

if TYPE_CHECKING:
    from sevenfold.testing.algorithm import check_algorithm
    from sevenfold.testing.backward import check_backward
    from sevenfold.testing.callback import check_callback
    from sevenfold.testing.contract import ContractError
    from sevenfold.testing.flow_set import check_flow_set
    from sevenfold.testing.linear import check_linear
    from sevenfold.testing.method import check_method
    from sevenfold.testing.prior import check_prior
    from sevenfold.testing.representation import check_representation
    from sevenfold.testing.solver import check_solver
    from sevenfold.testing.space import check_space
    from sevenfold.testing.study import check_study

_PUBLIC = {
    "ContractError": "sevenfold.testing.contract:ContractError",
    "check_algorithm": "sevenfold.testing.algorithm:check_algorithm",
    "check_backward": "sevenfold.testing.backward:check_backward",
    "check_callback": "sevenfold.testing.callback:check_callback",
    "check_flow_set": "sevenfold.testing.flow_set:check_flow_set",
    "check_linear": "sevenfold.testing.linear:check_linear",
    "check_method": "sevenfold.testing.method:check_method",
    "check_prior": "sevenfold.testing.prior:check_prior",
    "check_representation": "sevenfold.testing.representation:check_representation",
    "check_solver": "sevenfold.testing.solver:check_solver",
    "check_space": "sevenfold.testing.space:check_space",
    "check_study": "sevenfold.testing.study:check_study",
}
__all__ = [
    "ContractError",
    "check_algorithm",
    "check_backward",
    "check_callback",
    "check_flow_set",
    "check_linear",
    "check_method",
    "check_prior",
    "check_representation",
    "check_solver",
    "check_space",
    "check_study",
]
__getattr__, __dir__ = lazy(__name__, _PUBLIC)

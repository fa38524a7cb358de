"""Solves that a compiled program calls without compiling them: those whose gradient is the implicit one.

Imported where a program is compiled, for ``torch.compiler.disable`` loads the whole compiler.
"""

from functools import partial

import torch

from sevenfold.deq.layer import DEQ
from sevenfold.deq.problems import fixed_point

_disable = partial(
    torch.compiler.disable,
    reason="the implicit gradient is no part of a compiled graph: leave fullgraph out, or train by the rule "
    "phantom or unrolled",
)
solve_fixed_point = _disable(fixed_point)
solve_layer = _disable(DEQ.forward)

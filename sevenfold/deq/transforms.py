"""Which of torch's function transforms are active: the one place that uses private names of torch.

Where a name is absent the answer is the cautious one: no transform is seen, and torch's own errors speak.
"""

from typing import Any

import torch
from torch import Tensor

_FUNCTORCH: Any = getattr(torch._C, "_functorch", None)


def exporting() -> bool:
    """Tell whether ``torch.export`` is at work, not another use of the compiler."""
    # PyTorch 2.11 answers True to torch.compiler.is_exporting() in every function that it compiles.
    flag: bool | None = getattr(torch.compiler, "_is_exporting_flag", None)
    return torch.compiler.is_exporting() if flag is None else flag


def transforms_active() -> bool:
    """Tell whether a transform of ``torch.func`` is active, outside of compiled programs."""
    if torch.compiler.is_compiling():
        return False
    peek = getattr(_FUNCTORCH, "peek_interpreter_stack", None)
    return peek is not None and peek() is not None


def forward_levels() -> int:
    """Count the forward-mode transforms that are active around the present one."""
    stack = getattr(_FUNCTORCH, "get_interpreter_stack", None)
    kinds = getattr(_FUNCTORCH, "TransformType", None)
    if stack is None or kinds is None:
        return 0
    return sum(interpreter.key() == kinds.Jvp for interpreter in stack() or ())


def is_legacy_batched(value: Tensor) -> bool:
    """Tell tensors of the vmap behind ``is_grads_batched`` and ``vectorize=True``."""
    test = getattr(_FUNCTORCH, "is_legacy_batchedtensor", None)
    return bool(test is not None and test(value))


def is_followed(value: Tensor) -> bool:
    """Tell whether an active transform of ``torch.func`` differentiates or maps over a value."""
    while _is_wrapped(value):
        tangent = torch.autograd.forward_ad.unpack_dual(value).tangent if forward_levels() else None
        if _FUNCTORCH.maybe_get_bdim(value) >= 0 or value.requires_grad or tangent is not None:
            return True
        value = _FUNCTORCH.get_unwrapped(value)
    return False


def unwrapped(value: Tensor) -> Tensor:
    """Return the plain tensor below all transforms; of a dimension that vmap maps over the first entry."""
    while _is_wrapped(value):
        dim = _FUNCTORCH.maybe_get_bdim(value)
        value = _FUNCTORCH.get_unwrapped(value)
        value = value.select(dim, 0) if dim >= 0 else value
    return value.detach()


def _is_wrapped(value: Tensor) -> bool:
    test = getattr(_FUNCTORCH, "is_functorch_wrapped_tensor", None)
    return bool(test is not None and test(value))

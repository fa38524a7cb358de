"""Sevenfold: the mathematics of seven papers in plain PyTorch and NumPy.

``sevenfold.load(path)`` opens what a run has trained; families gather their public names in
``sevenfold.deq``, ``sevenfold.flow``, ``sevenfold.nas``, ``sevenfold.fairness`` and ``sevenfold.diffreps``.
"""

from typing import TYPE_CHECKING

from sevenfold.lazy import lazy

if TYPE_CHECKING:
    from sevenfold.loading import load
    from sevenfold.tables import allow

__all__ = ["allow", "load"]
_PUBLIC = {"allow": "sevenfold.tables:allow", "load": "sevenfold.loading:load"}
__getattr__, __dir__ = lazy(__name__, _PUBLIC)

"""A debiased network as a file to take away: it decides, gives probabilities, and is audited."""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sevenfold.environment import usable_device
from sevenfold.errors import InputError, shown
from sevenfold.fairness.audit import Audit, audit
from sevenfold.fairness.calibration import Isotonic
from sevenfold.fairness.data.encoder import Encoder, levels_of
from sevenfold.fairness.drift import Drift, drift
from sevenfold.fairness.groups import Groups, assign, named_columns
from sevenfold.fairness.inputs import Inputs, groups_from, labels_of
from sevenfold.fairness.intra.attribute_head import Head
from sevenfold.fairness.network import Logits, Shifted, TabularNet, sizes
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.steered import Steered
from sevenfold.files import replace_file

FORMAT = 1
NOT_FOR = (
    "Not for people unlike those of the fit, not for other criteria or groups than those stated, and no "
    "proof that any one person is judged rightly."
)


@dataclass
class Debiased:
    """A debiased network with what is known of it.

    Attributes:
        module: gives (n,), above 0 for decision 1.
        card: of plain values: purpose, network, inputs, groups, objective, figures, calibration.
        batch_size: rows of a forward pass.
    """

    module: nn.Module
    card: dict[str, Any]
    batch_size: int = 4096

    @property
    def inputs(self) -> Inputs:
        """Return what inputs it takes."""
        schema = self.card["inputs"]
        example = next(iter([*self.module.parameters(), *self.module.buffers()]))
        dtype = getattr(torch, schema["dtype"])
        return Inputs(tuple(schema["shape"]), dtype, example.device, tuple(schema["columns"]))

    @property
    def encoder(self) -> Encoder:
        """Return what makes rows of a file's columns."""
        if self.card.get("table") is None:
            raise InputError("this network was not fitted to a CSV table: give its rows from Python")
        return Encoder(**self.card["table"])

    def moved(self, scores: NDArray[np.float64]) -> Drift:
        """Return how far scores are from those of the fit."""
        # as in the card: scores of a constant decision are infinite
        return drift(self.card["quantiles"], self.card["rows"], np.clip(scores, -1e300, 1e300))

    def decision_function(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return distances to the threshold, (n,), above 0 for decision 1."""
        rows = self.inputs.convert(X)
        with torch.no_grad():
            scores = [self.module(part).double().cpu() for part in rows.split(self.batch_size)]
        return torch.cat(scores).numpy() if scores else np.zeros(0)

    def predict(self, X: Any) -> NDArray[np.int64]:  # noqa: N803
        """Return decisions, (n,); no attribute is needed."""
        return (self.decision_function(X) > 0).astype(np.int64)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return calibrated probabilities of label 0 and 1, (n, 2); decide by ``predict``, not by them."""
        positive = Isotonic(**self.card["calibration"])(self.decision_function(X))
        return np.stack([1 - positive, positive], axis=1)

    def audit(
        self,
        X: Any,
        y: Any,
        sensitive_features: Any,
        sample_weight: Any = None,  # noqa: N803
    ) -> Audit:
        """Return what the decisions about labelled people say: tables, verdicts, drift, in words."""
        scores = self.decision_function(X)
        labels = labels_of(y, self.card["label"]["favorable"], torch.device("cpu"))
        given = self.groups_of(sensitive_features)
        if not len(scores) == len(labels) == len(given.cell):
            sizes_ = [len(scores), len(labels), len(given.cell)]
            raise InputError(f"X, y and sensitive_features have {shown(sizes_)} rows")
        weights = None if sample_weight is None else torch.as_tensor(np.asarray(sample_weight)).double()
        decisions = torch.as_tensor(scores > 0).long()
        return audit(decisions, labels, given, objective_of(self.card), weights, self.moved(scores))

    def groups_of(self, sensitive_features: Any) -> Groups:
        """Return people in the groups of the fit."""
        definition = self.card["groups"]
        if not definition["attributes"]:
            return groups_from(sensitive_features, None)
        rules = tuple(levels_of(rule) for rule in definition["attributes"])
        columns = named_columns(sensitive_features, rules[0].name)
        return assign(rules, columns, cross=definition["cross"], small=definition["small"])

    def save(self, path: str | Path, *, allow_constant: bool = False) -> Path:
        """Write the network and its card into one file without code; returns the path."""
        if self.card["constant"] and not allow_constant:
            raise InputError(
                "everybody gets the same decision; save such a rule with allow_constant=True if you mean it"
            )
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {name: value.detach().cpu() for name, value in self.module.state_dict().items()}
        card = {**self.card, "sha256": digest(state)}
        with replace_file(path) as temporary:
            torch.save({"format": FORMAT, "card": json.dumps(card), "state": state}, temporary)
        return path


def load_debiased(
    path: str | Path, module: nn.Module | None = None, device: str | torch.device = "cpu"
) -> Debiased:
    """Return a saved debiased network.

    Args:
        path: of the file.
        module: a network of the class that was debiased, where it is none of this package.
        device: where to put it.

    Example:
        >>> import tempfile
        >>> from sevenfold.fairness import Debiaser
        >>> x, a = torch.randn(400, 4), torch.arange(400) % 2
        >>> y = (x[:, 0] + 0.5 * a > 0.2).long()
        >>> network = nn.Linear(4, 1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     fitted = Debiaser(network).fit(x, y, a)
        ...     again = load_debiased(fitted.save(folder + "/fair.pt", allow_constant=True), module=network)
        >>> bool((again.predict(x) == fitted.predict(x)).all())
        True
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"'{path}' does not exist") from None
    except Exception as error:
        raise InputError(f"'{path}' is no file of a debiased network: {type(error).__name__}") from None
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise InputError(f"'{path}' is no debiased network of format {FORMAT}; save it again")
    card, state = json.loads(content["card"]), content["state"]
    if digest(state) != card.pop("sha256"):
        raise InputError(f"'{path}' is damaged: its weights are not those that its card was written for")
    network = _network(card["network"], module, path)
    whole = _whole(Logits(network, card["network"]["output"]), card, state)
    whole.load_state_dict(state)
    return Debiased(whole.eval().to(usable_device(device)), card)


def _network(description: Mapping[str, Any], module: nn.Module | None, path: str | Path) -> nn.Module:
    """Return the network without its weights: that of this package, or a copy of the user's."""
    if description["sizes"] is not None and module is None:
        return TabularNet(**description["sizes"])
    if module is None:
        raise InputError(f"'{path}' holds the weights of a network of your own class: give module=...")
    if fingerprint(module) != description["fingerprint"]:
        raise InputError(
            f"'{path}' holds weights of another network: names or shapes of parameters differ from module's"
        )
    return copy.deepcopy(module)


def _whole(network: Logits, card: Mapping[str, Any], state: Mapping[str, Tensor]) -> nn.Module:
    if card["kind"] == "shifted":
        return Shifted(network, 0.0)
    head = Head(torch.zeros_like(state["weight"]), torch.zeros_like(state["bias"]))
    return Steered(network, head, torch.zeros_like(state["price"]), 0.0, 0.0, card["tap"])


def fingerprint(module: nn.Module) -> str:
    """Return a digest of the names, shapes and types of a module's state.

    >>> fingerprint(nn.Linear(2, 1)) == fingerprint(nn.Linear(3, 1))
    False
    """
    text = json.dumps([(n, list(v.shape), str(v.dtype)) for n, v in module.state_dict().items()])
    return hashlib.sha256(text.encode()).hexdigest()


def digest(state: Mapping[str, Tensor]) -> str:
    """Return a digest of names and values."""
    hashed = hashlib.sha256()
    for name, value in state.items():
        hashed.update(name.encode())
        # bytes of any type, bfloat16 included
        hashed.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()


def network_card(network: Logits) -> dict[str, Any]:
    """Return what is needed to build a network again, or to recognize it."""
    return {
        "output": network.output,
        "sizes": sizes(network.module),
        "fingerprint": fingerprint(network.module),
        "class": type(network.module).__name__,
    }


def groups_card(groups: Groups) -> dict[str, Any]:
    """Return the definitions of groups as plain values."""
    return {
        "names": list(groups.names),
        "attributes": [asdict(rule) for rule in groups.attributes],
        "cross": len(groups.layout.families) > len(groups.attributes) > 0,
        "small": groups.layout.small,
    }


def objective_of(card: Mapping[str, Any]) -> Objective:
    """Return the objective of a card."""
    return Objective(**card["objective"])

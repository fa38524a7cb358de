"""Load published weights: official RAFT, DEQ-Flow v1 and v2, torchdeq zoo (v2 names), torchvision, ours.

Loading is strict. Renaming, fusing or splitting weight norm, and dropping RAFT's initial hidden state for a
network that starts at zeros are the only changes made, and each is reported; any other difference is an error
that names every key and says which variant the file looks like.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sevenfold.checkpoint import read_checkpoint
from sevenfold.errors import InputError
from sevenfold.flow.network import FlowNetwork
from sevenfold.flow.variants import DEQ_VARIANTS, RAFT_VARIANTS

logger = logging.getLogger(__name__)

Weights = dict[str, Tensor]

NORM_G, NORM_V = ".parametrizations.weight.original0", ".parametrizations.weight.original1"

# From official names (RAFT, DEQ-Flow v1 and v2) to ours, which are torchvision's. Applied in order.
RENAMES = [
    (r"^fnet\.", "feature_encoder."),
    (r"^cnet\.", "context_encoder."),
    (r"^(\w+_encoder)\.conv1\.", r"\1.convnormrelu.0."),
    (r"^(\w+_encoder)\.norm1\.", r"\1.convnormrelu.1."),
    (r"^(\w+_encoder)\.conv2\.", r"\1.conv."),
    (r"^(\w+_encoder\.layer\d\.\d)\.conv(\d)\.", r"\1.convnormrelu\2.0."),
    (r"^(\w+_encoder\.layer\d\.\d)\.norm(\d)\.", r"\1.convnormrelu\2.1."),
    (r"^update_block\.encoder\.convc(\d)\.", r"update_block.motion_encoder.convcorr\1.0."),
    (r"^update_block\.encoder\.convf(\d)\.", r"update_block.motion_encoder.convflow\1.0."),
    (r"^update_block\.encoder\.conv\.", "update_block.motion_encoder.conv.0."),
    (r"^update_block\.gru\.conv([zrq])([12])\.", r"update_block.recurrent_block.convgru\2.conv\1."),
    (r"^update_block\.gru\.conv([zrq])\.", r"update_block.recurrent_block.convgru1.conv\1."),
    (r"^(update_block\.)?mask\.0\.", "mask_predictor.convrelu.0."),
    (r"^(update_block\.)?mask\.2\.", "mask_predictor.conv."),
    (r"^attn\.", "attention."),
    (r"\.weight_g$", NORM_G),
    (r"\.weight_v$", NORM_V),
]


@dataclass(frozen=True)
class LoadReport:
    """Source of weights (``style``), the variant they resemble, and what was changed in loading."""

    style: str
    variant: str
    notes: list[str]


def load_weights(network: FlowNetwork, path: str | Path) -> LoadReport:
    """Copy the weights in the file ``path`` into ``network``, RAFT (Teed and Deng 2020) or DEQ-Flow.

    Raises InputError where there is no such file, and with every missing, unexpected or misshapen key where
    it holds another network's weights.

    Example:
        >>> import tempfile, torch
        >>> from sevenfold.flow import RAFT
        >>> network, file = RAFT(variant="demo"), tempfile.mkdtemp() + "/weights.pth"
        >>> torch.save(network.state_dict(), file)
        >>> report = load_weights(network, file)
    """
    weights, style = read_weights(path)
    report = LoadReport(style, looks_like(weights), [])
    own = network.state_dict()
    weights = _match_weight_norm(weights, own, report.notes)
    weights = _match_hidden_start(weights, network, report.notes)
    problems = _differences(weights, own)
    if problems:
        raise InputError(
            f"the weights in {path} ({report.style}; they look like {report.variant}) do not fit this network"
            f" ({looks_like(own)}): {'; '.join(problems)}"
        )
    network.load_state_dict(weights)
    logger.info(
        "loaded %s: %s, %s%s", path, style, report.variant, "".join(f"; {note}" for note in report.notes)
    )
    return report


def read_weights(path: str | Path) -> tuple[Weights, str]:
    """Read a state dict from ``path`` and rename its keys to ours; say also whose names they were."""
    content: dict = read_checkpoint(path)
    content = content.get("state_dict", content)
    if not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path} holds no state dict (a mapping of names to tensors)")
    content = {re.sub(r"^(module\.|network\.)+", "", name): value for name, value in content.items()}
    style = _style(content)
    return rename(content) if style.startswith("official") else content, style


def _style(weights: Weights) -> str:
    """Tell whose names these are."""
    if not any(name.startswith("fnet.") for name in weights):
        return "torchvision's names"
    if any(name.startswith("mask.") for name in weights):
        return "official DEQ-Flow v2 names"
    return "official RAFT or DEQ-Flow v1 names"


def rename(weights: Weights) -> Weights:
    """Rename official keys to ours; drop the second name that official encoders give a shortcut's norm."""
    renamed = {}
    for name, value in weights.items():
        shortcut = re.match(r"(.*\.layer\d\.\d)\.norm(\d)\.", name)
        if shortcut and f"{shortcut[1]}.conv{shortcut[2]}.weight" not in weights:
            continue
        for pattern, ours in RENAMES:
            name = re.sub(pattern, ours, name)
        renamed[name] = value
    return renamed


def looks_like(weights: Weights) -> str:
    """Guess from shapes which published variant weights (under our names) belong to."""

    def rows(name: str) -> int:
        value = weights.get(f"{name}.weight", weights.get(f"{name}{NORM_V}"))
        return 0 if value is None else value.shape[0]

    start, hidden = rows("context_encoder.conv"), rows("update_block.recurrent_block.convgru1.convz")
    head, features = rows("update_block.flow_head.conv1"), rows("feature_encoder.conv")
    sizes = (rows("feature_encoder.convnormrelu.0"), features, hidden, head)
    for kind, table in (("RAFT", RAFT_VARIANTS), ("DEQ-Flow", DEQ_VARIANTS)):
        for name, widths in table.items():
            expected = widths.context + (widths.hidden if kind == "RAFT" else 0)
            if (*sizes, start) == (widths.stem, widths.features, widths.hidden, widths.head, expected):
                gma = ", gma" if "update_block.gma.gamma" in weights else ""
                norm = ", weight norm" if any(key.endswith(NORM_G) for key in weights) else ""
                return f"{kind} {name}{gma}{norm}"
    return f"no published variant (hidden width {hidden}, flow head {head}, context output {start})"


def _match_weight_norm(weights: Weights, own: Weights, notes: list[str]) -> Weights:
    """Fuse normalized weights the network wants plain, and split plain ones that it wants normalized."""
    result = dict(weights)
    fused, split = 0, 0
    for name in own:
        stem = name.removesuffix(".weight").removesuffix(NORM_G)
        g, v, plain = stem + NORM_G, stem + NORM_V, stem + ".weight"
        if name == plain and g in result and v in result:
            value = result.pop(v)
            result[plain] = result.pop(g) * value / _norm(value)
            fused += 1
        elif name == g and plain in result:
            result[v] = result.pop(plain)
            result[g] = _norm(result[v])
            split += 1
    if fused:
        notes.append(f"weight norm fused in {fused} convolutions")
    if split:
        notes.append(f"{split} plain convolutions put under weight norm")
    return result


def _norm(value: Tensor) -> Tensor:
    """Return the norm of each output channel, (out, 1, 1, 1)."""
    return torch.linalg.vector_norm(value, dim=(1, 2, 3), keepdim=True)


def _match_hidden_start(weights: Weights, network: FlowNetwork, notes: list[str]) -> Weights:
    """Drop the part of RAFT's context output that starts the hidden state, where that starts at zeros."""
    widths = network.widths
    last = weights.get("context_encoder.conv.weight")
    if network.design.h_init != "zeros" or last is None or last.shape[0] != widths.hidden + widths.context:
        return weights
    notes.append(f"dropped the first {widths.hidden} context outputs, for the hidden state starts at zeros")
    weights_left = {
        f"context_encoder.conv.{part}": weights[f"context_encoder.conv.{part}"] for part in ("weight", "bias")
    }
    return weights | {name: value[widths.hidden :] for name, value in weights_left.items()}


def _differences(weights: Weights, own: Weights) -> list[str]:
    """Name every missing, unexpected and misshapen key."""
    missing = sorted(own.keys() - weights.keys())
    unexpected = sorted(weights.keys() - own.keys())
    shapes = [
        f"{name} is {tuple(weights[name].shape)} where {tuple(own[name].shape)} is wanted"
        for name in sorted(own.keys() & weights.keys())
        if weights[name].shape != own[name].shape
    ]
    problems = [f"missing {', '.join(missing)}"] if missing else []
    problems += [f"unexpected {', '.join(unexpected)}"] if unexpected else []
    return problems + shapes

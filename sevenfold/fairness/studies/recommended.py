"""The method that validation rows recommend, and the files of debiased networks that a study leaves."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sevenfold.errors import InputError
from sevenfold.fairness import POSTPROCESSORS
from sevenfold.files import replace_file, write_text
from sevenfold.records import Record
from sevenfold.study import Section

CANDIDATES, KEPT = "candidates", "debiased"
CONTROLS = ("base", "constant", "threshold_only")
ByLabel = Mapping[str, Sequence[Record]]


def recommended(by_label: ByLabel, *, saved: bool = False) -> str | None:
    """Return the label of the best method on validation rows, or None where there is no candidate.

    First come methods that meet the bound for more networks, then more accurate ones; a method that
    cross-fits is judged by its cross-fitted figures. Test rows have no say: a choice by them would flatter.

    Args:
        by_label: the records of each method.
        saved: among methods that change the network alone.

    Example:
        >>> record = {"method": "rank_one", "seed": 1, "epsilon": 0.05, "search_mu": 0.02}
        >>> recommended({"ours": [{**record, "search_rho": 0.8, "search_met": 1.0}]})
        'ours'
    """
    chances = [
        label for label in by_label if label not in CONTROLS and by_label[label][0]["method"] != "base"
    ]
    if saved:
        chances = [label for label in chances if by_label[label][0]["method"] not in POSTPROCESSORS]

    def worth(label: str) -> tuple[float, float]:
        records = by_label[label]
        accuracy = [own(record, "search_rho", "val_balanced_accuracy") for record in records]
        return float(np.mean([search_met(record) for record in records])), float(np.mean(accuracy))

    return max(chances, key=worth) if chances else None


def search_met(record: Record) -> float:
    """Return whether a network met the bound on its validation rows, cross-fitted where the method does so.

    >>> search_met({"search_met": 1.0, "val_within": 0.0})
    1.0
    """
    return own(record, "search_met", "val_within")


def own(record: Record, name: str, plain: str) -> float:
    """Return a method's own figure on validation rows, of an older record the plain one."""
    value: Any = record.get(name, record.get(plain))
    return 0.0 if value is None else float(value)


def file_of(key: str) -> str:
    """Return the file name of a record's network: ``METHOD-SEED.pt``, below its setting.

    >>> file_of("own-sex-without/spd@0.05/bias_score/00001")
    'own-sex-without_spd@0.05/bias_score-1.pt'
    """
    setting, label, seed = key.rsplit("/", 2)
    return f"{setting.replace('/', '_')}/{label}-{int(seed)}.pt"


def keep_files(settings: Mapping[str, ByLabel], folder: Path, keep: str) -> list[Section]:
    """Put the networks that are to be taken away into ``debiased/`` with their cards; say which they are."""
    if keep == "none":
        return []
    cards: dict[str, object] = {}
    text = []
    for setting, by_label in settings.items():
        chosen = recommended(by_label, saved=True)
        if chosen is None:
            continue
        labels = [chosen] if keep == "recommended" else list(by_label)
        text.append(f"{setting}: validation rows recommend {chosen}.")
        for record in (record for label in labels for record in by_label[label]):
            file = file_of(record["key"])
            source = folder / CANDIDATES / file
            name = Path(file).name if len(settings) == 1 else file
            # a report drawn elsewhere, or of records alone, has no files to take
            if source.is_file():
                place = folder / KEPT / name
                place.parent.mkdir(parents=True, exist_ok=True)
                with replace_file(place) as temporary:
                    shutil.copyfile(source, temporary)
                cards[name] = json.loads(torch.load(place, weights_only=True)["card"])
    if not cards:
        return [Section("Files", ["No debiased network was saved in this folder."])]
    write_text(folder / KEPT / "card.json", json.dumps(cards, indent=1))
    how = "To decide: train.py predict --ckpt FILE data.source.path=NEW.csv; to audit: test in its place."
    rows = [["file", "method", "estimates the attribute"]]
    for name, card in cards.items():
        if not isinstance(card, dict):
            raise InputError(f"'{name}' has no card")
        rows.append(
            [f"{KEPT}/{name}", card["method"]["name"], "yes" if card["estimates_attribute"] else "no"]
        )
    return [Section("Files", [*text, how], rows)]

"""What a saved debiased network does with a file of people: decisions, or the audit of labelled ones.

``train.py predict --ckpt FILE.pt data.source.path=NEW.csv`` and ``test`` in its place run these studies.
"""

import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.fairness.artefact import Debiased, load_debiased
from sevenfold.fairness.audit import could_tell
from sevenfold.fairness.data.csv_file import CsvFile
from sevenfold.fairness.data.csv_table import CsvTable
from sevenfold.fairness.data.encoder import Encoded, Encoder
from sevenfold.fairness.data.table import split_table
from sevenfold.fairness.drift import quantiles
from sevenfold.fairness.groups import TWO, Groups, Layout
from sevenfold.fairness.inputs import Inputs
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.intra.controls import ThresholdOnly
from sevenfold.fairness.network import Logits, TabularNet
from sevenfold.fairness.packing import Purpose, packed
from sevenfold.fairness.studies.own_figures import draw_drift, draw_verdicts
from sevenfold.files import replace_file, write_text
from sevenfold.records import Record
from sevenfold.seeding import numpy_generator, seeded
from sevenfold.study import Context, Piece, Report, Section, Study, Table

DECISIONS = "decisions.csv"
NOTHING = "No file of people has been read yet."


@dataclass(frozen=True)
class OwnFile:
    """A CSV file of people; what is null is as in the file of the fit.

    Args:
        path: of the file.
        delimiter: between fields.
        decimal: the decimal sign of numbers.
        encoding: of the file.
        missing_codes: codes of missing values, beside the usual ones.
    """

    path: str = ""
    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    missing_codes: list[str] | None = None

    def like(self, how: Mapping[str, Any]) -> CsvFile:
        """Return the file, written as that of the fit where nothing else is said."""
        if not self.path:
            raise ConfigError("source.path", "is required: a CSV file with the columns of the fit")
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return CsvFile(**{**how, **given})


@dataclass(frozen=True)
class File(Piece):
    """The only piece: all rows of a file."""


class OwnRows(Study[File]):
    """A saved network and a file of people; subclasses say what is done with them."""

    devices = "cpu"
    gradients = False
    source: OwnFile
    file: str
    unseen: Literal["refuse", "zero"]

    def check(self) -> None:
        """Open the network and look for the columns that it needs."""
        if not self.file:
            raise ConfigError(
                "file", "is required: a debiased network, as keep of a debiasing study leaves it"
            )
        debiased = load_debiased(self.file)
        encoder, rows = debiased.encoder, self.table(debiased)
        rows.check_columns(rows.rows()[:1], [*encoder.needed, *self.more(debiased)])

    def table(self, debiased: Debiased) -> CsvFile:
        """Return the file of people, written as that of the fit where options do not say otherwise."""
        return self.source.like(debiased.encoder.how)

    def more(self, debiased: Debiased) -> list[str]:
        """Return the columns that are needed beside the features."""
        return []

    def rows(self, debiased: Debiased) -> Encoded:
        """Return the rows of the file."""
        encoded = debiased.encoder.read(self.table(debiased), self.more(debiased), self.unseen)
        if not len(encoded.x):
            raise InputError(f"'{self.source.path}' has a header and no row")
        return encoded

    def pieces(self) -> Sequence[File]:
        """Return the only piece."""
        return [File(("rows",), "rows")]

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with a small network and its people, in a temporary folder."""
        network, people = small_files(Path(tempfile.mkdtemp(prefix="sevenfold-")))
        return {**options, "file": str(network), "source": {"path": str(people)}}


def small_files(folder: Path) -> tuple[Path, Path]:
    """Write a debiased network and the 300 people that it was fitted to; return both files."""
    stream = numpy_generator(0, "small files")
    score, sex = stream.standard_normal(300), stream.choice(["f", "m"], 300)
    good = np.where(score + (sex == "m") + stream.standard_normal(300) > 0.5, "yes", "no")
    people = folder / "people.csv"
    rows = [f"{s!s},{x:.4f},{y!s}" for s, x, y in zip(sex, score, good, strict=True)]
    write_text(people, "\n".join(["sex,score,good", *rows]))
    table = CsvTable(
        path=str(people), label="good", favorable="yes", protected={"sex": "m"}, numeric=["score"]
    )
    loaded = table.load()
    assert loaded.text is not None
    split = split_table(loaded, "sex", 0, drop_protected=True)
    with seeded(0, "small files"):
        network = TabularNet(1, width=2, depth=0).eval()
    rule = loaded.text.rules["sex"]
    layout = Layout(rule.groups, TWO.member, {"sex": (0, 1)})
    groups = Groups(split.val.a, layout, (rule,))
    problem = Problem(Logits(network, "logit"), split.val.x, split.val.y, split.val.a, layout=layout)
    result = ThresholdOnly().fit(problem)
    what = Purpose({"name": "threshold_only"}, encoder=Encoder.of(loaded.text, split))
    debiased, _ = packed(problem, result, Inputs.of(network, split.val.x), groups, what)
    return debiased.save(folder / "small.pt", allow_constant=True), people


class DecisionsStudy(OwnRows):
    """Decisions of a saved network about the people of a file: ``decisions.csv`` in the run folder.

    Neither label nor attribute is needed, unless the attribute is an input of the network.

    Args:
        file: of the network, as ``keep`` of a debiasing study leaves it.
        source: the file of people.
        unseen: levels that the fit did not see are refused by name, or are ``zero``: none of the levels.
        ids: columns that are copied into ``decisions.csv``.
    """

    def __init__(
        self,
        *,
        file: str = "",
        source: OwnFile = OwnFile(),
        unseen: Literal["refuse", "zero"] = "refuse",
        ids: list[str] = [],  # noqa: B006 (never changed)
    ) -> None:
        self.file, self.source, self.unseen, self.ids = file, source, unseen, ids

    def more(self, debiased: Debiased) -> list[str]:
        """Return the columns that name people."""
        return self.ids

    def run(self, piece: File, context: Context) -> list[Record]:
        """Decide about every row and write the decisions."""
        debiased = load_debiased(self.file)
        encoded = self.rows(debiased)
        distance = debiased.decision_function(encoded.x)
        decided, chances = distance > 0, debiased.predict_proba(encoded.x)[:, 1]
        target = context.folder / DECISIONS
        with replace_file(target) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["row", *self.ids, "decision", "probability", "distance"])
            for i, (d, p, s) in enumerate(zip(decided, chances, distance, strict=True)):
                names = [encoded.texts[name][i] for name in self.ids]
                writer.writerow([i + 1, *names, int(d), repr(float(p)), repr(float(s))])
        moved = debiased.moved(distance)
        record = {"key": piece.keys[0], "group": piece.group, "rows": len(distance)}
        record |= {"selected": float(decided.mean()), "probability": float(chances.mean())}
        record |= {"drift": moved.distance, "drift_critical": moved.critical, "warns": bool(moved.warns)}
        record |= {"stored": debiased.card["quantiles"], "now": quantiles(np.clip(distance, -1e300, 1e300))}
        return [{**record, "unseen": encoded.unseen, "card": short_card(debiased)}]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return how many people were decided 1, and whether they are like those of the fit."""
        if not records:
            return Report("Decisions", [["people"]], [NOTHING])
        record = records[0]
        text = [
            f"{record['rows']:,} people: {record['selected']:.1%} are decided 1; mean probability "
            f"{record['probability']:.3f}. Every decision is a line of {DECISIONS}.",
            f"Scores are {record['drift']:.3f} from those of the fit (Kolmogorov-Smirnov; 1 % critical value "
            f"{record['drift_critical']:.3f})"
            + (": these people are unlike those of the fit." if record["warns"] else "; nothing to warn of."),
        ]
        text += [
            f"{name}: {n} rows have a level that the fit did not see" for name, n in record["unseen"].items()
        ]
        head: Table = [["people", "decided 1", "drift"]]
        head.append([f"{record['rows']:,}", f"{record['selected']:.3f}", f"{record['drift']:.3f}"])
        scalars = {name: float(record[name]) for name in ("selected", "drift")}
        pictures = [draw_drift(record["stored"], record["now"], folder / "images/drift.png")]
        return Report("Decisions", head, text, [card_section(record["card"])], pictures, scalars)


class AuditStudy(OwnRows):
    """The audit of a saved network on labelled people of a file: verdicts, groups, drift.

    Args:
        file: of the network, as ``keep`` of a debiasing study leaves it.
        source: the file of people, with the label and the protected columns.
        unseen: levels that the fit did not see are refused by name, or are ``zero``: none of the levels.
    """

    def __init__(
        self, *, file: str = "", source: OwnFile = OwnFile(), unseen: Literal["refuse", "zero"] = "refuse"
    ) -> None:
        self.file, self.source, self.unseen = file, source, unseen

    def more(self, debiased: Debiased) -> list[str]:
        """Return the label and the protected columns."""
        return [debiased.encoder.label["column"], *self._protected(debiased)]

    def _protected(self, debiased: Debiased) -> list[str]:
        return [rule["name"] for rule in debiased.card["groups"]["attributes"]]

    def run(self, piece: File, context: Context) -> list[Record]:
        """Audit the rows."""
        debiased = load_debiased(self.file)
        encoder, file, encoded = debiased.encoder, self.table(debiased), self.rows(debiased)
        label = encoder.label
        people = {name: encoder.text(file, name, encoded.texts[name]) for name in self._protected(debiased)}
        report = debiased.audit(encoded.x, encoded.texts[label["column"]], people)
        record = {"key": piece.keys[0], "group": piece.group, "rows": len(encoded.x)}
        record |= {"verdicts": report.verdicts, "groups": report.table, "flags": report.flags}
        record |= {"performance": report.performance, "unseen": encoded.unseen}
        return [{**record, "card": short_card(debiased)}]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return the verdicts, the groups and what to beware of."""
        if not records:
            return Report("Audit", [["criterion"]], [NOTHING])
        record = records[0]
        rows = [["criterion", "estimate", "90 %, the one the verdict uses", "verdict", "noise floor"]]
        text = []
        for v in record["verdicts"]:
            ends = f"[{v['low']:+.3f}, {v['high']:+.3f}]"
            rows.append([v["criterion"], f"{v['estimate']:+.3f}", ends, v["verdict"], f"{v['floor']:.3f}"])
            more = f"; about {v['rows_needed']:,.0f} could" if could_tell(v) else ""
            text.append(f"{v['criterion']}: {v['verdict']} on these {record['rows']:,} people{more}.")
        performance = ", ".join(f"{k.replace('_', ' ')} {v:.3f}" for k, v in record["performance"].items())
        beware = [*record["flags"], *(f"{k}: {n} unseen levels" for k, n in record["unseen"].items())]
        parts = [groups_section(record["groups"]), Section("Beware", beware or ["Nothing to report."])]
        scalars = {name: float(value) for name, value in record["performance"].items()}
        parts.append(card_section(record["card"]))
        pictures = [draw_verdicts(record["verdicts"], folder / "images/verdicts.png")]
        return Report("Audit", rows, [*text, f"Performance: {performance}."], parts, pictures, scalars)


def groups_section(groups: Sequence[Mapping[str, Any]]) -> Section:
    """Return the table of groups."""
    rates = ("selection", "tpr", "fpr", "ppv", "accuracy")
    rows = [["group", "n", *rates, "95 % of selection"]]
    for row in groups:
        name = row["group"] if row["judged"] else f"{row['group']} (few rows: not judged)"
        ends = f"[{row['selection_low']:.3f}, {row['selection_high']:.3f}]"
        rows.append([name, f"{row['n']:,}", *(f"{row[rate]:.3f}" for rate in rates), ends])
    return Section("Groups", ["Rates of every group, with Wilson's interval of the selection rate."], rows)


def short_card(debiased: Debiased) -> dict[str, str]:
    """Return what a reader of a page must know of a network, in words."""
    card = debiased.card
    objective = card["objective"]
    plain = f"{objective['measure']} within {objective['epsilon']:g}"
    terms = objective["constraints"] or [plain]
    return {
        "purpose": card["purpose"],
        "date of the fit": card["date"],
        "method": card["method"]["name"],
        "criterion": " and ".join(terms),
        "groups": ", ".join(card["groups"]["names"]),
        "rows of the fit": f"{card['rows']:,}",
        "data": card["data"][:16],
        "attribute": "an estimate is computed" if card["estimates_attribute"] else "not estimated",
        "not for": card["not_for"],
    }


def card_section(card: Mapping[str, str]) -> Section:
    """Return the card as a table."""
    return Section("Card", ["What is known of this network."], [["", ""], *([k, v] for k, v in card.items())])

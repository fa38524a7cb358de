"""One door for tables of trainings: any common file, with every decision about its columns said."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import suggest
from sevenfold.errors import InputError, shown
from sevenfold.nas.benchmarks.columns import Columns, read_columns
from sevenfold.nas.benchmarks.listed import NUMBERS, SPAN
from sevenfold.nas.benchmarks.table import Table
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark, build_space

METRIC = re.compile(
    r"(?P<split>train|val|valid|validation|test)[_/ .](?P<metric>acc|accuracy|top1|err|error|loss|auc)"
    r"(?:[_/ .](?:ep(?:och)?)?(?P<epoch>\d+))?",
    re.IGNORECASE,
)
UNKNOWN = re.compile(
    r"(train|val|valid|validation|test)[_/ .]\w+|acc|accuracy|top1|err|error|loss|auc", re.IGNORECASE
)
SAME = {"valid": "val", "validation": "val", "accuracy": "acc", "top1": "acc", "err": "error"}
PERCENT, LESS = ("acc", "error"), ("loss", "error")
ROLES = {
    "epoch": ("epoch", "step", "budget"),
    "seed": ("seed", "run", "repeat"),
    "seconds": ("seconds", "time", "runtime", "train_seconds"),
    "id": ("id", "trial", "index"),
    "properties": ("params", "flops", "macs", "latency"),
}
HINTS = (*ROLES, "parameters", "minimize", "maximize", "shape", "unit", "space")


@dataclass(frozen=True)
class Understood:
    """What was made of a file: one line a decision, in the order in which they were made."""

    path: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        """Return the lines below the file's name."""
        return "\n".join([self.path, *(f"  {line}" for line in self.lines)])


@dataclass
class _Reading:
    """A file while its columns get their roles."""

    path: str
    columns: Columns
    hints: Mapping[str, Any]
    lines: list[str] = field(default_factory=list)
    metrics: dict[str, list[tuple[int | None, str]]] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    minimize: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def wrong(self, text: str) -> InputError:
        return InputError(f"'{self.path}': {text}")


def open_data(path: str | Path, **hints: Any) -> tuple[TableBenchmark, Understood]:
    r"""Open a table of trainings of any common form; return the benchmark and what was decided about it.

    ``.csv .tsv .txt .json .jsonl .parquet .npz``, each also with ``.gz``. Columns called like ``val_acc``,
    ``test/loss`` or ``valid_top1_12`` are metrics (a number behind is the epoch), ``epoch`` makes long
    curves, ``seed`` tells repeats apart, and the rest are parameters, of which every row is an architecture
    of a listed space. Lists and arrays (n, E) or (n, R, E) are curves.

    Args:
        path: the file.
        hints: what overrides a decision: names of the columns ``epoch``, ``seed``, ``seconds``, ``id``;
            lists of names ``parameters``, ``properties``, ``minimize`` and ``maximize`` (further metrics, of
            the validation split); ``shape``, long or wide; ``unit`` of accuracies, fraction or percent;
            ``space``, a name with options for a column of strings, the first parameter.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "runs.csv"
    >>> _ = path.write_text("lr,opt,val_acc\n0.1,sgd,0.9\n0.2,sgd,0.8\n0.1,adam,0.7\n")
    >>> bench, understood = open_data(path)
    >>> bench.query(bench.archs, split="val", metric="acc", epoch="last", seed="mean").tolist()
    [90.0, 80.0, 70.0]
    """
    if unknown := sorted(hints.keys() - set(HINTS)):
        raise InputError(f"'{unknown[0]}' is no hint about a file. {suggest(unknown[0], HINTS)}")
    reading = _Reading(str(path), read_columns(path), hints)
    _assign(reading)
    codes, space, strings = _parameters(reading)
    arrays, entry = _values(reading, *_places(reading, codes))
    _, first = np.unique(codes, axis=0, return_index=True)
    arrays["archs"] = strings[np.sort(first)] if strings is not None else codes[np.sort(first)]
    description = {
        "space": space,
        "archs": "archs",
        "minimize": list(dict.fromkeys([*LESS, *reading.minimize])),
        "datasets": {Path(path).name.partition(".")[0]: entry},
    }
    if strings is not None:
        given = _space(hints) or {}
        description["notation"] = given.get("notation", build_space(space).notations[0])
    understood = Understood(str(path), tuple(reading.lines))
    benchmark = TableBenchmark(Table(arrays, description, source=str(path)))
    benchmark.understood = understood.lines
    return benchmark, understood


def _named(hints: Mapping[str, Any], role: str) -> list[str] | None:
    given = hints.get(role)
    return None if given is None else [given] if isinstance(given, str) else list(given)


def _assign(reading: _Reading) -> None:
    """Give every column its role."""
    hints, columns = reading.hints, reading.columns
    for hint in HINTS[:-3]:
        for name in _named(hints, hint) or []:
            if name not in columns:
                raise reading.wrong(f"there is no column '{name}' for {hint}. {suggest(name, columns)}")
    given = {name: role for role in (*ROLES, "parameters") for name in _named(hints, role) or []}
    for name in columns:
        match = METRIC.fullmatch(name)
        usual = (r for r, names in ROLES.items() if name.lower() in names and hints.get(r) is None)
        role = given.get(name) or next(usual, None)
        for kind in ("minimize", "maximize"):
            if name in (_named(hints, kind) or []) and not match:
                role = "metric"
                reading.metrics[f"val/{name}"] = [(None, name)]
                reading.minimize += [name] if kind == "minimize" else []
        if role == "metric":
            continue
        if match and role is None:
            split, metric = match["split"].lower(), match["metric"].lower()
            key = f"{SAME.get(split, split)}/{SAME.get(metric, metric)}"
            wanted = "maximize" if key.partition("/")[2] in LESS else "minimize"
            if name in (_named(hints, wanted) or []):
                raise reading.wrong(f"'{name}' cannot be in {wanted}: it is {key}; rename it if it is not")
            epoch = None if match["epoch"] is None else int(match["epoch"])
            reading.metrics.setdefault(key, []).append((epoch, name))
        elif role is None and UNKNOWN.fullmatch(name):
            raise reading.wrong(f"'{name}' is no known metric; say minimize: [{name}] or maximize: [{name}]")
        else:
            reading.roles.setdefault(role or "parameters", []).append(name)
    if not reading.metrics:
        raise reading.wrong(
            f"no metric among {', '.join(columns)}; call one such as val_acc, or say minimize or maximize"
        )
    for key, parts in reading.metrics.items():
        better = "less" if key.partition("/")[2] in (*LESS, *reading.minimize) else "more"
        reading.say(f"metric {key}: {_list(name for _, name in parts)}; {better} is better")


def _list(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known if len(known) <= 4 else [known[0], "...", known[-1]])


def _parameters(reading: _Reading) -> tuple[NDArray[np.int64], dict[str, Any], NDArray[Any] | None]:
    """Return the code of every row in each parameter (N, width), the space, and strings of another space."""
    columns: dict[str, NDArray[Any]] = {}
    for name in reading.roles.get("parameters", []):
        values = reading.columns[name]
        if values.ndim > 2:
            raise reading.wrong(f"'{name}' has shape {values.shape}; a parameter has one or two axes")
        columns |= {name: values} if values.ndim == 1 else {
            f"{name}_{place}": values[:, place] for place in range(values.shape[1])
        }  # fmt: skip
    if not columns:
        raise reading.wrong("no column says which architecture a row is; say parameters: [...]")
    levels: list[list[Any]] = []  # a list, because descriptions are stored with sorted keys
    codes = []
    for name, values in columns.items():
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise reading.wrong(f"parameter '{name}' is empty in row {int(np.isnan(values).argmax()) + 1}")
        known, places = np.unique(values, return_inverse=True)
        levels.append([name, known.tolist()])
        codes.append(places.reshape(-1))
        reading.say(f"parameter {name}: {_kind(known)}")
    node = _space(reading.hints)
    if node is None:
        return np.stack(codes, 1), {"name": "listed", "columns": levels}, None
    strings = next(iter(columns.values()))
    if strings.dtype.kind != "U":
        raise reading.wrong(f"'{next(iter(columns))}' holds numbers, and {node['name']} is read from text")
    reading.say(f"architectures are rows of the space {node['name']}, read from {next(iter(columns))}")
    return codes[0][:, None], {k: v for k, v in node.items() if k != "notation"}, strings


def _space(hints: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return name and options of the space that the hint names."""
    given = hints.get("space")
    return None if given is None else {"name": given} if isinstance(given, str) else dict(given)


def _kind(known: NDArray[Any]) -> str:
    if known.dtype.kind == "U":
        return f"choice of {len(known)}: {_list(known.tolist())}"
    if len(known) <= NUMBERS:
        return f"ordinal, {len(known)} values from {known[0]} to {known[-1]}"
    log = known[0] > 0 and known[-1] / known[0] >= SPAN
    return f"number from {known[0]} to {known[-1]}{', logarithmic' if log else ''}"


Places = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], list[int], list[int]]


def _places(reading: _Reading, codes: NDArray[np.int64]) -> Places:
    """Return architecture, repeat and epoch of every row, and the labels of repeats and epochs."""
    _, first, group = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    # Architectures in the order of the file.
    group = np.argsort(np.argsort(first))[group.reshape(-1)]
    epochs, labels = _epochs(reading, group)
    seeds = reading.roles.get("seed", [])
    numbers = np.zeros(len(group), int)
    if seeds:
        known, numbers = np.unique(reading.columns[seeds[0]], return_inverse=True)
        runs = known.tolist() if known.dtype.kind in "iu" else list(range(len(known)))
        reading.say(f"repeats: column {seeds[0]}, {len(runs)} of them")
    else:
        seen: dict[tuple[int, int], int] = {}
        for row, key in enumerate(zip(group.tolist(), epochs.tolist(), strict=True)):
            numbers[row] = seen.get(key, 0)
            seen[key] = numbers[row] + 1
        runs = list(range(int(numbers.max()) + 1))
        if len(runs) > 1:
            reading.say(f"repeats: equal parameters in the order of the file, up to {len(runs)} of them")
    where = np.stack([group, numbers.reshape(-1), epochs], 1)
    _, counts = np.unique(where, axis=0, return_inverse=True)
    counts = counts.reshape(-1)
    order = np.argsort(counts, kind="stable")
    same = np.flatnonzero(counts[order][1:] == counts[order][:-1])
    if len(same):
        one, other = (int(row) + 1 for row in sorted(order[same[0] : same[0] + 2].tolist()))
        raise reading.wrong(
            f"rows {one} and {other} have equal parameters{', seed' if seeds else ''} and epoch; remove one "
            "or name the column that tells them apart (seed)"
        )
    return group, numbers.reshape(-1), epochs, runs, labels


def _epochs(reading: _Reading, group: NDArray[np.intp]) -> tuple[NDArray[np.intp], list[int]]:
    """Return the epoch's place of every row, and the epochs; none where the file is wide."""
    names, shape = reading.roles.get("epoch", []), reading.hints.get("shape")
    if shape not in (None, "long", "wide"):
        raise reading.wrong(f"shape is long or wide, got {shown(shape)}")
    none = np.zeros(len(group), np.intp)
    if not names:
        if shape == "long":
            raise reading.wrong("a long file has a column epoch, step or budget; name it by the hint epoch")
        return none, []
    values = reading.columns[names[0]]
    if values.dtype.kind not in "iu":
        raise reading.wrong(f"'{names[0]}' holds {values[0].item()!r}; epochs are whole numbers")
    known, places = np.unique(values, return_inverse=True)
    within = len({*zip(group.tolist(), places.reshape(-1).tolist(), strict=True)}) > group.max() + 1
    if shape == "wide" or (shape is None and not within):
        if len(known) > 1:
            raise reading.wrong(
                f"'{names[0]}' differs between architectures and never within one; say shape: long, or "
                f"parameters: [{names[0]}]"
            )
        reading.say(f"wide: every row is a whole training; {names[0]} is {known[0]} everywhere")
        return none, []
    reading.say(f"long: {names[0]} from {known[0]} to {known[-1]} within equal parameters, one row an epoch")
    return places.reshape(-1), known.tolist()


def _values(
    reading: _Reading,
    group: NDArray[np.intp],
    runs: NDArray[np.intp],
    epochs: NDArray[np.intp],
    seeds: list[int],
    labels: list[int],
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return arrays of all series, and the entry of the data set."""
    cubes = {key: _cube(reading, key, parts) for key, parts in reading.metrics.items()}
    _unit(reading, cubes)
    repeats = max(cube.shape[1] for cube, _ in cubes.values())
    if repeats > 1 and len(seeds) > 1:
        raise reading.wrong("repeats are both rows and an axis of arrays; keep one of them")
    seeds = list(range(repeats)) if repeats > 1 else seeds
    known = labels or sorted({epoch for _, at in cubes.values() for epoch in at})
    n, arrays, series = int(group.max()) + 1, {}, {}
    for key, (cube, at) in cubes.items():
        curve = labels or at
        table = np.full((n, len(seeds), len(curve) or 1), np.nan)
        if repeats > 1:
            table[group] = np.broadcast_to(cube, (len(group), repeats, cube.shape[2]))
        elif labels:
            table[group, runs, epochs] = cube[:, 0, 0]
        else:
            table[group, runs] = cube[:, 0]
        arrays[key] = table
        column: dict[str, Any] = {"array": key, "axes": "nre"}
        if not curve:
            column["at_end"] = True
        elif curve != known:
            column["epochs"] = curve
        series[key] = column
    entry: dict[str, Any] = {"seeds": seeds, "epochs": known, "series": series, "properties": {}}
    for name in reading.roles.get("properties", []):
        values = reading.columns[name].astype(float)
        total, count = np.bincount(group, values), np.bincount(group)
        arrays[f"property {name}"] = total / count
        entry["properties"][name] = {"array": f"property {name}", "axes": "n"}
        reading.say(f"property {name}, known without training")
    if (names := reading.roles.get("seconds")) and not labels and repeats == 1:
        arrays["seconds"] = np.full((n, len(seeds)), np.nan)
        arrays["seconds"][group, runs] = reading.columns[names[0]]
        entry["seconds"] = {"array": "seconds", "axes": "nr", "per": "run"}
        reading.say(f"seconds of a whole training: {names[0]}")
    reading.say(
        f"{n} architectures, {len(seeds)} trainings each, epochs {_list(map(str, known)) or 'unknown'}"
    )
    return arrays, entry


def _cube(
    reading: _Reading, key: str, parts: Sequence[tuple[int | None, str]]
) -> tuple[NDArray[np.float64], list[int]]:
    """Return the values of a series (N, R, E) and its epochs, none where only the end is known."""
    arrays = {name: reading.columns[name] for _, name in parts}
    for name, array in arrays.items():
        if array.dtype.kind not in "iuf":
            raise reading.wrong(
                f"metric '{name}' holds {shown(array.reshape(-1)[0].item())}; expected numbers"
            )
    if all(epoch is not None for epoch, _ in parts):
        ordered = sorted((epoch or 0, name) for epoch, name in parts)
        return np.stack([arrays[name] for _, name in ordered], 1)[:, None].astype(float), [
            e for e, _ in ordered
        ]
    if len(parts) > 1:
        raise reading.wrong(f"{_list(arrays)} are all {key}; leave one, or name columns such as {key}_1")
    (array,) = arrays.values()
    if array.ndim == 1:
        return array[:, None, None].astype(float), []
    if array.ndim > 3:
        raise reading.wrong(f"metric '{parts[0][1]}' has shape {array.shape}; expected (n, E) or (n, R, E)")
    cube = (array[:, None] if array.ndim == 2 else array).astype(float)
    return cube, list(range(1, cube.shape[2] + 1))


def _unit(reading: _Reading, cubes: dict[str, tuple[NDArray[np.float64], list[int]]]) -> None:
    """Turn accuracies and errors that are fractions into per cent, in place."""
    unit = reading.hints.get("unit")
    if unit not in (None, "fraction", "percent"):
        raise reading.wrong(f"unit is fraction or percent, got {shown(unit)}")
    for key, (cube, at) in cubes.items():
        values = cube[~np.isnan(cube)]
        if key.partition("/")[2] not in PERCENT or not values.size:
            continue
        limit = 1 if unit == "fraction" else 100
        if (beyond := values[~((values >= 0) & (values <= limit))]).size:
            raise reading.wrong(f"{key} has {beyond[0]:g}, which is not within 0 and {limit}")
        if unit == "percent":
            continue
        inside = ((values >= 0) & (values <= 1)).all()
        trivial = np.isin(values, (0, 1)).all()
        if unit == "fraction" or (inside and not trivial):
            # 100 * .55 is not 55 in binary: what was meant is the number with few digits.
            cubes[key] = np.round(100 * cube, 10), at
            reading.say(f"{key}: fractions from {values.min():.4g} to {values.max():.4g}, times 100")
        elif (values > 1).any() and np.median(values) < 1:
            some = ", ".join(
                f"{value:.4g}" for value in np.sort(values)[np.linspace(0, len(values) - 1, 5).astype(int)]
            )
            raise reading.wrong(f"{key} mixes fractions and per cent: {some}; say unit: fraction or percent")

"""Mutations of every shipped recipe and sweep file: each must work or be refused in one line.

``python benchmarks/fuzz_config.py [--count 10000] [--seed 0] [--jobs 2]``. A mutation is read, composed,
prepared and, where it concerns a component that is cheap to construct, constructed; a sweep file is read and
its first trial drawn. Success and an ``InputError`` without a line break are the only outcomes allowed;
anything else is printed with the number that makes it again (``--only NUMBER``).
"""

import argparse
import contextlib
import itertools
import logging
import math
import multiprocessing
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from sevenfold.config import compose, prepare, read_file
from sevenfold.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
MEMORY = 12 * 2**30
DEEP = "@deep@"
WEIRD: list[Any] = [
    None, True, False, "", " ", "None", "x", "ümläut ☃", "\u202e", "a.b", "a/../b", "${seed}",
    "${nothing}", "${model}",
    "${oc.env:HOME}", "${", "???", "1e12", "nan", [], {}, [[]], [None], [{}], [1, "a"], {"a": 1}, {1: 2},
    {"name": "x"}, {"name": 3}, {"name": None}, {"_only": ["a"]}, {"_only": 3}, {"0": 1}, {"": 1}, DEEP,
    "x" * 5000, list(range(300)),
]  # fmt: skip
NUMBERS = [
    -1,
    0,
    1,
    2,
    -0.5,
    0.5,
    1.5,
    math.nan,
    math.inf,
    -math.inf,
    10**12,
    1e12,
    10**400,
    -(10**30),
    1e-300,
]
KEYS = [
    "",
    "name",
    "base",
    "_only",
    "0",
    "a b",
    "ümläut",
    "a.b",
    "model",
    "self",
    "args",
    "*",
    "${seed}",
    "None",
]
Node = dict[Any, Any] | list[Any]


class OutOfTimeError(BaseException):
    """A construction that takes longer than a fuzz can wait; no failure."""


def sources() -> list[Path]:
    """Return the recipes and sweep files, relative to the folder of configurations."""
    return sorted(path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml"))


def unshared(node: Any) -> Any:
    """Copy a configuration so that no part stands in two places, as aliases of YAML do."""
    if isinstance(node, dict):
        return {key: unshared(value) for key, value in node.items()}
    return [unshared(value) for value in node] if isinstance(node, list) else node


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside a configuration."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def parent(content: Any, path: tuple[Any, ...]) -> Node:
    """Return the mapping or list in which a path ends."""
    for key in path[:-1]:
        content = content[key]
    return content


def mutate(content: Any, rng: random.Random) -> Any:
    """Change one thing in a configuration."""
    paths = list(places(content))
    if not paths:
        return unshared(rng.choice(WEIRD))
    path = rng.choice(paths)
    node, key = parent(content, path), path[-1]
    kind = rng.choice(
        ["value", "value", "number", "number", "delete", "rename", "swap", "wrap", "add", "copy"]
    )
    if kind == "value":
        node[key] = unshared(rng.choice(WEIRD))
    elif kind == "number":
        numeric = [p for p in paths if isinstance(_at(content, p), int | float)] or [path]
        path = rng.choice(numeric)
        parent(content, path)[path[-1]] = rng.choice(NUMBERS)
    elif kind == "delete":
        del node[key]
    elif kind == "rename" and isinstance(node, dict):
        node[_misspelled(str(key), rng)] = node.pop(key)
    elif kind == "swap":
        other = rng.choice(paths)
        first, second = _at(content, path), _at(content, other)
        if path[: len(other)] != other and other[: len(path)] != path:
            node[key], parent(content, other)[other[-1]] = second, first
    elif kind == "wrap":
        node[key] = rng.choice([[node[key]], {"name": node[key]}, {"a": node[key]}])
    elif kind == "add" and isinstance(node, dict):
        node[rng.choice(KEYS)] = unshared(rng.choice(WEIRD + NUMBERS))
    elif kind == "copy" and isinstance(node, dict):
        node[rng.choice(KEYS)] = unshared(_at(content, rng.choice(paths)))
    return content


def _at(content: Any, path: tuple[Any, ...]) -> Any:
    return parent(content, path)[path[-1]]


def _misspelled(word: str, rng: random.Random) -> str:
    place = rng.randrange(len(word) + 1)
    return rng.choice(
        [*KEYS, word[:place] + "x" + word[place:], word[:place] + word[place + 1 :], word.upper()]
    )


def damage(text: str, rng: random.Random) -> str:
    """Change a few characters of a file."""
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(text) + 1)
        piece = rng.choice(
            ["{", "}", "[", "]", ":", ": ", "\n", "\t", "-", "&a ", "*a", "!!", "%", "'", '"', "\x00"]
        )
        piece = rng.choice([piece, "", "<<: ", "é", "- ", "? ", "|", "base: "])
        text = text[:place] + piece + text[place + rng.randint(0, 3) :]
    return text


class Mutant:
    """Mutation ``number`` of the shipped files: a file beside its original, and settings."""

    def __init__(self, number: int, folder: Path) -> None:
        self.rng = random.Random(f"fuzz {number}")
        self.source = self.rng.choice(sources())
        self.path = folder / self.source.parent / f"fuzz_{number}.yaml"
        text = (ROOT / "configs" / self.source).read_text()
        if self.rng.random() < 0.2:
            text = damage(text, self.rng)
        else:
            content = yaml.safe_load(text)
            if self.rng.random() < 0.5:  # with what its base files hold
                content = read_file(ROOT / "configs" / self.source)
            content = unshared(content)
            for _ in range(self.rng.randint(1, 3)):
                content = mutate(content, self.rng)
            text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
            depth = self.rng.choice([60, 500, 2000])
            text = text.replace(f"'{DEEP}'", "[" * depth + "]" * depth)
        self.text, self.settings = text, self._settings() if self.rng.random() < 0.3 else []

    def _settings(self) -> list[str]:
        content = read_file(ROOT / "configs" / self.source)
        path = self.rng.choice(list(places(content)) or [("seed",)])
        key = ".".join(map(str, path)) if self.rng.random() < 0.7 else "".join(f"[{p}]" for p in path)
        value = self.rng.choice([*map(str, NUMBERS), *map(str, WEIRD[:25]), "[1, 2", "{a: 1", "[" * 500])
        ending = self.rng.choice(["", "", "[0]", ".0.x", "._only", ".", "..a"])
        return [f"{key}{ending}={value}"]

    def run(self) -> None:
        """Read, compose, prepare and construct it."""
        self.path.write_bytes(self.text.encode("utf-8", "surrogatepass"))
        try:
            if self.source.parts[0] == "sweeps" and not self.settings:
                read_sweep_file(self.path)
            else:
                check(compose([read_file(self.path)], self.settings), construct=self.rng.random() < 0.35)
        finally:
            self.path.unlink(missing_ok=True)


def read_sweep_file(path: Path) -> None:
    """Read a sweep file and plan its first trial."""
    from sevenfold.sweep.file import read_sweep
    from sevenfold.sweep.run import expand

    sweep = read_sweep(path)
    first = next(iter(sweep.grid()), {}) if sweep.method == "grid" else sweep.sample(0)
    expand(sweep.command, first, Path("train.py"))


def check(config: dict[str, Any], construct: bool) -> None:
    """Prepare every part of a configuration as ``train.py`` does; construct what is quick."""
    makers = []
    if config.get("study"):
        from sevenfold.studies import STUDIES

        makers.append(prepare(STUDIES, config["study"], "study"))
    else:
        from datamodules import DATAMODULES
        from lightning_modules import MODELS

        makers += [prepare(MODELS, config["model"], "model"), prepare(DATAMODULES, config["data"], "data")]
    from callbacks import CALLBACKS, LOGGERS

    for part, table, given in (("callbacks", CALLBACKS, {}), ("logger", LOGGERS, {"run": None})):
        for name, node in config[part].items():
            if node is not None:
                make = prepare(table, {**node, "name": name}, f"{part}.{name}", **given)
                makers += [make] if part == "callbacks" else []
    trainer = {"trainer": "pytorch_lightning:Trainer"}
    given = {"logger": False, "default_root_dir": tempfile.gettempdir()}
    makers.append(prepare(trainer, {**config["trainer"], "name": "trainer"}, "trainer", **given))
    for make in makers if construct else []:
        in_time(make)


def in_time(make: Callable[[], Any], seconds: float = 0.5) -> None:
    """Call a constructor, and give it up when it takes long: it opens data or downloads."""
    running = True

    def give_up(*_: Any) -> None:
        if running:  # the alarm may come between the end of the call and that of the clock
            raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        make()
    except (OutOfTimeError, OSError):  # a failing disk, an absent file: exit status 1, in one line too
        pass
    finally:
        running = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome(number: int, folder: Path) -> tuple[int, str, str]:
    """Return (number, "works", "refused" or "FAILED", what is to be known about it)."""
    try:
        mutant = Mutant(number, folder)
    except (yaml.YAMLError, InputError) as error:
        return number, "no mutant", str(error)
    try:
        mutant.run()
    except InputError as error:
        if "\n" not in str(error) and str(error).strip():
            return number, "refused", str(error)
        return number, "FAILED", f"{mutant.source}: more than one line: {str(error)[:300]!r}"
    except Exception:
        trace = traceback.format_exc().strip().splitlines()
        frames = [line.strip() for line in trace if 'File "' in line][-3:]
        return number, "FAILED", f"{mutant.source} {mutant.settings}: {trace[-1][:200]} at {' '.join(frames)}"
    return number, "works", ""


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Give a folder with a copy of the configurations, for files with relative ``base:``."""
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(ROOT / "configs", folder := Path(name) / "configs")
        yield folder


def settle() -> None:
    """Bound a process's memory: a size that fits no machine must end in a message, not in a swap storm."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, limit))
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None  # time runs out inside finalizers too
    logging.disable(logging.WARNING)
    # An import that the time limit cuts off leaves a package half made for the rest of the process.
    import fairlearn.postprocessing  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import torch

    with contextlib.suppress(ModuleNotFoundError):
        import lightgbm  # noqa: F401

    torch.set_num_threads(1)


def _outcome(task: tuple[int, Path]) -> tuple[int, str, str]:
    return outcome(*task)


def main() -> int:
    """Run the mutations; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="number of mutations")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", type=int, help="make this one again and show it")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    with workplace() as folder:
        if options.only is not None:
            mutant = Mutant(options.only, folder)
            print(mutant.text, mutant.settings, sep="\n")
            mutant.run()
            return 0
        tasks = zip(
            range(options.first, options.first + options.count), itertools.repeat(folder), strict=False
        )
        with multiprocessing.get_context("spawn").Pool(options.jobs, settle) as pool:
            for number, result, text in pool.imap_unordered(_outcome, tasks, chunksize=20):
                counts[result] += 1
                if counts.total() % 1000 == 0:
                    print(f"{counts.total()} mutations", file=sys.stderr, flush=True)
                if result == "FAILED":
                    print(f"{number}: {text}", flush=True)
    print(", ".join(f"{n} {result}" for result, n in sorted(counts.items())))
    return int(counts["FAILED"] > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Run the trials of a sweep in parallel processes, record each as it ends, and print one table."""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from sevenfold.errors import ConfigError, shown
from sevenfold.files import write_text
from sevenfold.records import append_record, read_folder
from sevenfold.report import aligned, format_value
from sevenfold.sweep.file import SweepFile, read_sweep
from sevenfold.sweep.plan import Bayes, Listed, Planner
from sevenfold.sweep.trial import Trials

DONE = ("finished", "stopped")


def run_sweep(
    path: str, settings: Sequence[str], program: Path, *, jobs: int = 1, count: int | None = None
) -> int:
    """Run a sweep file: grid expanded, random drawn per trial, bayes by Optuna's TPE (not W&B's algorithm).

    ``settings`` are passed on to every trial; ``output_dir=...`` among them says where the sweep's folder
    goes. ``jobs`` trials run at once, each with its share of the processor and, where the file's command
    runs ``program``, in a process that serves one trial after another; ``count`` (or the file's ``run_cap``)
    bounds the number of trials. Trials that an earlier, interrupted call finished are not run again. Returns
    1 if a trial failed.
    """
    sweep = read_sweep(path)
    outputs = [text.partition("=")[2] for text in settings if text.lstrip("-").startswith("output_dir=")]
    folder = Path(outputs[-1] if outputs else "runs", f"sweep_{sweep.path.stem}").absolute()
    planner: Planner = Bayes(sweep) if sweep.method == "bayes" else Listed(sweep)
    total = planner.total(count or sweep.run_cap)
    expand(sweep.command, {}, program)
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_other_sweep(folder, sweep)

    def command(parameters: dict[str, Any]) -> list[str]:
        return [*expand(sweep.command, parameters, program), *settings]

    # More threads than cores make every trial slower, and its sums depend on their number.
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with Trials(sweep, command, program, folder, {**os.environ, "OMP_NUM_THREADS": str(threads)}) as trials:
        records = _drive(planner, trials, folder, jobs, total)
    print(_summary(sweep, records))
    print(f"\nsweep folder: {folder}")
    return int(any(record["status"] not in DONE for record in records))


def _refuse_other_sweep(folder: Path, sweep: SweepFile) -> None:
    """Keep the sweep file beside its trials: records of another sweep under the same name must not be mixed
    in.
    """
    copy, text = folder / "sweep.yaml", sweep.path.read_text()
    if copy.is_file() and copy.read_text() != text:
        message = f"'{folder}' holds trials of another version of this sweep: move it or set output_dir"
        raise ConfigError("", message)
    write_text(copy, text)


def _drive(planner: Planner, trials: Trials, folder: Path, jobs: int, total: int) -> list[dict[str, Any]]:
    """Keep ``jobs`` trials running until all are done; each is on disk before the next one starts."""
    from tqdm import tqdm

    done = {record["number"]: record for record in read_folder(folder) if record["status"] in DONE}
    for record in done.values():
        planner.tell(record)
    waiting = iter([number for number in range(total) if number not in done])
    bar = tqdm(total=total, initial=len(done), desc="sweep", unit="trial")
    with ThreadPoolExecutor(jobs) as pool, bar:
        for record in _as_they_end(pool, waiting, planner, trials, jobs):
            append_record(folder / "trials.jsonl", record)
            planner.tell(record)
            done[record["number"]] = record
            bar.update()
    return [done[number] for number in sorted(done)]


def _as_they_end(
    pool: ThreadPoolExecutor, waiting: Iterator[int], planner: Planner, trials: Trials, jobs: int
) -> Iterator[dict[str, Any]]:
    running: set[Future[dict[str, Any]]] = set()
    while True:
        # Asked for one by one, so that each trial is chosen with all that ended before it.
        while len(running) < jobs and (number := next(waiting, None)) is not None:
            running.add(pool.submit(trials.run, number, planner.ask(number)))
        if not running:
            return
        ended, running = wait(running, trials.patience, return_when=FIRST_COMPLETED)
        trials.stop_hopeless()
        yield from (future.result() for future in ended)


def expand(command: Sequence[str], parameters: dict[str, Any], program: Path) -> list[str]:
    """Fill in W&B's command macros; parameters are written the way its agent writes them (Python text)."""
    arguments = [f"{name}={value}" for name, value in parameters.items()]
    macros = {
        "${env}": [],
        "${interpreter}": [sys.executable],
        "${program}": [str(program)],
        "${args}": [f"--{argument}" for argument in arguments],
        "${args_no_hyphens}": arguments,
    }
    expanded: list[str] = []
    for word in command:
        if word.startswith("${") and word not in macros:
            raise ConfigError("command", f"{shown(word)} is not supported. Known: {', '.join(macros)}.")
        expanded += macros.get(word, [word])
    return expanded


def _summary(sweep: SweepFile, records: list[dict[str, Any]]) -> str:
    """Return one row per trial, best first when there is a metric, failures last."""

    def rank(record: dict[str, Any]) -> tuple[bool, float]:
        value = record["value"]
        return value is None, 0.0 if value is None else (-value if sweep.maximize else value)

    names = [parameter.name for parameter in sweep.parameters if parameter.distribution != "constant"]
    rows = [["trial", *names, sweep.metric or "metric", "status", "seconds"]]
    for record in sorted(records, key=rank) if sweep.metric else records:
        values = [format_value(record["parameters"].get(name)) for name in names]
        status = f"failed: {record['problem']}" if "problem" in record else record["status"]
        number, seconds = f"{record['number']:04d}", str(record["seconds"])
        rows.append([number, *values, format_value(record["value"]), status, seconds])
    return aligned(rows)

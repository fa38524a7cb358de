"""A job slot of a sweep: one warm process that runs trial after trial.

Importing torch and Lightning takes longer than many a trial. Requests (``{"arguments", "log"}``) go to the
process as lines of JSON on its standard input, answers (``{"status"}``) come back on its standard output;
both streams of a trial go to its log.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_SERVER = str(Path(__file__).with_name("serve.py"))


class Worker:
    """A job slot of a sweep: its process starts with the first trial, and again after it died.

    Args:
        program: the program of every trial.
        environment: of the process.
    """

    def __init__(self, program: Path, environment: Mapping[str, str]) -> None:
        self.program, self.environment = program, environment
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, arguments: Sequence[str], log: Path) -> int:
        """Run one trial; return its exit status, negative after a signal, as ``subprocess`` has it."""
        process = self._started()
        request = json.dumps({"arguments": list(arguments), "log": str(log)}) + "\n"
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(request.encode())
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if answer:
            return int(json.loads(answer)["status"])
        self.close()
        return process.returncode or 1  # a process that ends without an answer has failed

    def stop(self) -> None:
        """End the trial in hand, and the process with it; the next trial starts a new one."""
        if self._process is not None:
            self._process.terminate()

    def close(self) -> None:
        """Let the process end."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(BrokenPipeError), process:
                pass  # closes both pipes and waits

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            command = [sys.executable, _SERVER, str(self.program)]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=dict(self.environment))
        return self._process

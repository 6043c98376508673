"""The job `nox -s windows`: set up Windows Python under Wine, run its checks and tests, and write the figures into the docs.

Exit code: 0 passed; 1 failed; 69 not possible on this machine.
"""

import collections
import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "development" / "platforms.md"
CACHE = Path(os.environ.get("VENVRUNNER_PLATFORMS") or "~/.cache/venvrunner-platforms").expanduser().resolve()
PYTHON = CACHE / "bin" / "python-win"
UNAVAILABLE = 69
LIMIT = 900.0
"""Seconds after which a program under Wine is ended."""
NEUTRAL = [
    "tests/process/test_lines.py",
    "tests/process/test_supervisor.py",
    "tests/venv/test_layouts.py",
    "tests/install/test_requirement_forms.py",
    "tests/runner/test_environment.py",
]
"""The test files of platform-independent modules, run with pytest."""
CHECKS = "tests/platforms/windows.py"

Result = tuple[str, str, str]
"""A name, "passed", "failed" or "skipped", and a reason."""


def main() -> int:
    """Run the job."""
    status = subprocess.run([ROOT / ".ci" / "get-wine", CACHE], check=False).returncode
    if status:
        if status == UNAVAILABLE:
            print("NOT TESTED: Windows. .ci/get-wine is not possible on this machine.")
        return status
    install()
    begin = time.monotonic()
    results = {CHECKS: list(run_checks())}
    for name in NEUTRAL:
        results[name] = list(run_tests(name))
    subprocess.run([CACHE / "bin" / "wine-stop"], check=False)
    print(f"\n{time.monotonic() - begin:.0f} s under Wine")
    return report(results)


def install() -> None:
    """Install this project and the requirements of its tests, from this side."""
    command = [str(CACHE / "bin" / "pip-win-target"), "--reinstall-package", "venvrunner", "--refresh-package", "venvrunner"]
    subprocess.run([*command, "--group", "pyproject.toml:test", ".[uv,cli]"], cwd=ROOT, check=True)


def run_checks() -> Iterator[Result]:
    """Run the program of checks in a console, without which Windows has no CTRL_BREAK; print each outcome as it comes."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "results")
        path.touch()
        wine = Wine([str(ROOT / CHECKS), windows_path(path)])
        seen = 0
        while True:
            is_over = wine.is_over()
            for line in path.read_text(encoding="utf-8").splitlines()[seen:]:
                entry = json.loads(line)
                seen += 1
                print(f"{entry['outcome']:8}{entry['seconds']:6.1f} s  {entry['name']}", flush=True)
                if entry["outcome"] != "passed":
                    print(entry["reason"].rstrip(), flush=True)
                yield entry["name"], entry["outcome"], entry["reason"]
            if is_over:
                break
            time.sleep(0.2)
        if wine.status not in {0, 1} or not seen:
            print(wine.output())
            yield "the program itself", "failed", f"exit code {wine.status}"


def run_tests(name: str) -> Iterator[Result]:
    """Run a test file with pytest."""
    with tempfile.TemporaryDirectory() as directory:
        xml = Path(directory, "results.xml")
        options = ["-c", "pyproject.toml", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=short"]
        command = [str(PYTHON), "-m", "pytest", *options, f"--junitxml={windows_path(xml)}", name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=LIMIT)
        text = done.stdout.decode(errors="replace")
        print(
            f"\n{name}: {text.strip().splitlines()[-1] if text.strip() else done.stderr.decode(errors='replace')}", flush=True
        )
        if not xml.exists():
            yield name, "failed", text + done.stderr.decode(errors="replace")
            return
        for case in ET.parse(xml).iter("testcase"):  # our own file
            kinds = {child.tag: child for child in case}
            bad = next((kinds[kind] for kind in ("failure", "error") if kind in kinds), None)
            if bad is not None:
                print(f"failed  {case.get('name')}\n{bad.text}", flush=True)
                yield str(case.get("name")), "failed", str(bad.get("message"))
            elif "skipped" in kinds:
                yield str(case.get("name")), "skipped", str(kinds["skipped"].get("message"))
            else:
                yield str(case.get("name")), "passed", ""


def windows_path(path: Path) -> str:
    """Return the path under Wine of a file on this side."""
    return "Z:" + str(path).replace("/", "\\")


class Wine:
    """A program of Windows Python with a console of its own."""

    def __init__(self, arguments: list[str]) -> None:
        self.status: int | None = None
        ours, theirs = pty.openpty()
        self._end = time.monotonic() + LIMIT
        self._chunks: list[bytes] = []
        self._process = subprocess.Popen(
            [PYTHON, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, start_new_session=True
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, args=[ours], daemon=True)
        self._reader.start()

    def _read(self, terminal: int) -> None:
        with contextlib.suppress(OSError):  # it is closed on the other side
            while chunk := os.read(terminal, 1 << 16):
                self._chunks.append(chunk)
        os.close(terminal)

    def is_over(self) -> bool:
        """Return whether it has ended; after the limit, end it."""
        if self._process.poll() is None and time.monotonic() > self._end:
            self._process.kill()
            self._process.wait()
        self.status = self._process.returncode
        return self.status is not None

    def output(self) -> str:
        """Return its output without terminal control sequences."""
        return re.sub(r"\x1b\[[?\d;]*\w", "", b"".join(self._chunks).decode(errors="replace"))


def report(results: dict[str, list[Result]]) -> int:
    """Print the figures and write them into the docs; return the exit code."""
    lines = ["| | passed | failed | skipped |", "| --- | --- | --- | --- |"]
    skipped: list[str] = []
    for file, found in results.items():
        counts = collections.Counter(outcome for _name, outcome, _reason in found)
        lines.append(f"| `{file}` | {counts['passed']} | {counts['failed']} | {counts['skipped']} |")
        skipped += [f"- `{name}` ({reason})" for name, outcome, reason in found if outcome == "skipped"]
    code = "import platform; print(platform.python_version())"
    version = subprocess.run([str(PYTHON), "-c", code], capture_output=True, check=True)
    what = f"CPython {version.stdout.decode().strip()} for Windows, under Wine."
    text = "\n".join([what, "", *lines, "", "Skipped:", "", *_joined(skipped)])
    print(f"\n{text}")
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition("<!-- windows: begin, written by nox -s windows -->\n")
    end = "<!-- windows: end -->"
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")
    failed = [name for found in results.values() for name, outcome, _reason in found if outcome == "failed"]
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nPassed.")
    return int(bool(failed))


def _joined(skipped: list[str]) -> list[str]:
    """Return each line once, with the number of its parameters."""
    counts = collections.Counter(re.sub(r"\[[^`]*\]`", "`", line) for line in skipped)
    return [line if number == 1 else f"{line}, {number} times" for line, number in counts.items()]


if __name__ == "__main__":
    sys.exit(main())

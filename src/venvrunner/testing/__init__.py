r"""Test doubles: runners for the tests of code that uses one.

====================================  ==========================================================
:class:`~venvrunner.FakeVenvRunner`   runs each command in the environment of the test itself
:class:`ScriptedVenvRunner`           answers what the test has scripted, without a process
:class:`RecordingVenvRunner`          keeps what the commands of a real environment did in a file
:class:`ReplayVenvRunner`             answers from such a file, without a process
====================================  ==========================================================

All are a :class:`~venvrunner.Runner`. The promises that each of them keeps are tests in :mod:`venvrunner.testing.contract`, to
be run on doubles of one's own too.

>>> with ScriptedVenvRunner() as venv:
...     venv.answer(["git", "--version"], stdout="git version 2.0\n")
...     venv.log_run(["git", "--version"]).stdout
'git version 2.0\n'
"""

from venvrunner.fake import FakeVenvRunner
from venvrunner.testing._answers import Call
from venvrunner.testing._recording import RecordingVenvRunner
from venvrunner.testing._replay import ReplayVenvRunner
from venvrunner.testing._scripted import ScriptedVenvRunner

__all__ = ["Call", "FakeVenvRunner", "RecordingVenvRunner", "ReplayVenvRunner", "ScriptedVenvRunner"]

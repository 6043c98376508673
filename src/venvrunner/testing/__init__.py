r"""Test doubles: runners for the tests of code that uses a runner.

====================================  ========================================================
:class:`~venvrunner.FakeVenvRunner`   runs each command in the environment of the test itself
:class:`ScriptedVenvRunner`           gives the answers that the test defines, without a process
:class:`RecordingVenvRunner`          runs commands for real, and records them in a file
:class:`ReplayVenvRunner`             gives the answers of such a file, without a process
====================================  ========================================================

Each is a :class:`~venvrunner.Runner`. :mod:`venvrunner.testing.contract` tests the promises that all runners keep; run it on
your own doubles too.

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

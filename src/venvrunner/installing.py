"""Installing: what a runner does that has an environment of its own to fill."""

import subprocess
from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from venvrunner._create.fork import lineage
from venvrunner._create.temporary import temporary_folder
from venvrunner._install import bundled, pip
from venvrunner._install.requirements import requirement, requirements_file
from venvrunner._process.command import StrPath
from venvrunner.exceptions import InvalidRequirementError
from venvrunner.runner import Runner

__all__ = ["InstallingRunner"]


class InstallingRunner(Runner):
    """The part of :class:`.VenvRunner` that installs."""

    venv_dir: str

    @abstractmethod
    def _changing(self) -> AbstractContextManager[None]:
        """Return what surrounds a change of the environment."""

    def install_package(self, package_name: str) -> subprocess.CompletedProcess[str]:
        """Install one package; same as :meth:`install` with one requirement.

        Args:
            package_name: a requirement (PEP 508), an existing path, or a URL.

        Returns:
            what pip printed.

        Raises:
            InvalidRequirementError: it is nothing of the kind; nothing was started.
            VenvInUseError: the environment has forks, or somebody else is changing it.
            subprocess.CalledProcessError: pip failed; a note has its reason.
        """
        return self.install(package_name)

    def install(
        self, *requirements: str, requirements_files: Iterable[StrPath] = (), **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Install several things with one call of pip.

        Args:
            *requirements: each as for :meth:`install_package`.
            requirements_files: paths of requirements files.
            **options: as for :meth:`log_run`, such as ``timeout``, ``logger`` or ``stdout_loglevel``.

        Returns:
            what pip printed.

        Raises:
            InvalidRequirementError: one of them is wrong, or there is none; nothing was started.
            VenvInUseError: the environment has forks, or somebody else is changing it.
            subprocess.CalledProcessError: pip failed; a note has its reason.
        """
        names = [requirement(text) for text in requirements]
        if isinstance(requirements_files, str):
            msg = f"requirements_files must be a list of paths, not one: {requirements_files!r}!"
            raise TypeError(msg)
        files = [requirements_file(path) for path in requirements_files]
        if not names and not files:
            msg = "there is nothing to install! Name a requirement, a path, a URL or a requirements file."
            raise InvalidRequirementError(msg)
        with self._changing():
            return self._run_pip(names, files, **options)

    def _run_pip(self, names: Iterable[str], files: Iterable[str] = (), **options: Any) -> subprocess.CompletedProcess[str]:
        how = pip.OWN if bundled.has_pip(lineage(self.venv_dir)) else pip.from_wheel(bundled.pip_wheel(self.venv_dir))
        # A pip that is ended can't remove what it unpacked, so it gets a temporary folder of its own.
        with temporary_folder() as folder:
            options["extra_env"] = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), folder) | dict(options.get("extra_env") or {})
            return self.log_run(["python", *how, *pip.install(names, files)], **options)

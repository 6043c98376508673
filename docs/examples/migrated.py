"""A caller of antsibull_core.venv after its migration: only the two imports have changed. Usage: migrated.py PACKAGE."""

import asyncio
import logging
import sys
import tempfile

from venvrunner.subprocess_util import CalledProcessError
from venvrunner.venv import FakeVenvRunner, VenvRunner

logger = logging.getLogger("releases")


async def freeze(venv: VenvRunner | FakeVenvRunner) -> list[str]:
    process = await venv.async_log_run(["python", "-m", "pip", "freeze"], logger=logger)
    return process.stdout.splitlines()


def main(package: str) -> int:
    with tempfile.TemporaryDirectory() as directory:
        venv = VenvRunner("collections", directory)
        try:
            venv.install_package(package)
        except CalledProcessError as error:
            print(f"pip failed with exit code {error.returncode}", file=sys.stderr)
            return 1
        print("\n".join(asyncio.run(freeze(venv))))
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

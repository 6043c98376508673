"""The asynchronous methods that create, fork and delete an environment: each makes the call of its synchronous twin."""

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, Unpack

from venvrunner._description import CreateOptions, VenvOptions
from venvrunner._process.readiness import running_task
from venvrunner._stored import StoredRunner
from venvrunner._types import StrPath
from venvrunner._venv.waiting import logger

__tracebackhide__ = True

_Runner = TypeVar("_Runner", bound=AbstractAsyncContextManager[Any])
_advised: list[str] = []
"""The call that blocked an event loop, once that has been logged."""


class AsyncTemporary(AbstractAsyncContextManager[_Runner], Generic[_Runner]):
    """A temporary environment to create: use it in ``async with``, or await it.

    Nothing is created before. The end of the block deletes the environment.

    Args:
        create: the coroutine function that creates the environment.
    """

    def __init__(self, create: Callable[[], Coroutine[Any, Any, _Runner]]) -> None:
        self._create = create
        self._runner: _Runner | None = None

    def __await__(self) -> Generator[Any, Any, _Runner]:
        """Create the environment, and return its runner."""
        return self._create().__await__()

    async def __aenter__(self) -> _Runner:
        """Create the environment, and return its runner."""
        self._runner = runner = await self._create()
        return runner

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Delete the environment."""
        assert self._runner is not None
        await self._runner.__aexit__(kind, error, traceback)


class AsyncRunner(StoredRunner):
    """The part of :class:`.VenvRunner` that other tasks of an event loop run beside."""

    @classmethod
    @abstractmethod
    def temporary(cls, *, dir: StrPath | None = None, **options: Unpack[VenvOptions]) -> Self:  # noqa: A002  as in tempfile
        """Create a temporary environment."""

    @abstractmethod
    def fork(
        self, name: str, top_dir: StrPath, *, standalone: bool = False, exist: Literal["clear", "error"] = "clear"
    ) -> Self:
        """Create a fork."""

    @classmethod
    async def async_create(cls, name: str, top_dir: StrPath, **options: Unpack[CreateOptions]) -> Self:
        r"""Create an environment as :class:`VenvRunner` does, while other tasks of the event loop run.

        A cancellation stops the installer, removes what has been created, and then propagates. It waits for an interpreter that
        is being asked for its version, which has 15 seconds to answer.

        Args:
            name: the name of the environment's directory: one plain name.
            top_dir: its parent directory, which is created if it does not exist.
            **options: the other arguments of :class:`VenvRunner`, with the same meanings and defaults: see
                :class:`~.venv.CreateOptions`.

        Returns:
            the runner. For other tasks, the environment is in use as long as it lives, as it is for other threads.

        Raises:
            VenvError: see :class:`VenvRunner`.
            TypeError, ValueError: an argument is wrong; nothing was created.

        >>> import asyncio, tempfile
        >>> from venvrunner import VenvRunner
        >>> async def main(top):
        ...     async with await VenvRunner.async_create("venv", top, with_pip=False) as venv:
        ...         return (await venv.async_log_run(["python", "-c", "print('ready')"])).stdout
        >>> with tempfile.TemporaryDirectory() as top:
        ...     asyncio.run(main(top))
        'ready\n'
        """
        kind: Any = cls
        return await cls._created(partial(kind, name, top_dir, **options))

    @classmethod
    def async_temporary(
        cls,
        *,
        dir: StrPath | None = None,  # noqa: A002  as in tempfile
        **options: Unpack[VenvOptions],
    ) -> AsyncTemporary[Self]:
        r"""Create an environment in a temporary directory, as :meth:`temporary` does, while other tasks of the event loop run.

        Args:
            dir: the existing directory in which the temporary directory is created; default ``None``: the system's directory
                for temporary files.
            **options: see :class:`VenvOptions`.

        Returns:
            the async context manager whose block has the runner, and whose end deletes the environment, also after a
            cancellation. Or await it to get the runner without a block.

        Raises:
            InvalidPathError: *dir* is not an existing directory, or an environment would not work there.
            VenvError: see :class:`VenvRunner`.
            TypeError, ValueError: an argument is wrong; nothing was created.

        >>> import asyncio
        >>> from venvrunner import VenvRunner
        >>> async def main():
        ...     async with VenvRunner.async_temporary(with_pip=False) as venv:
        ...         return (await venv.async_log_run(["python", "-c", "print('ready')"])).stdout
        >>> asyncio.run(main())
        'ready\n'
        """
        return AsyncTemporary(partial(cls._created, partial(cls.temporary, dir=dir, **options)))

    async def async_fork(
        self, name: str, top_dir: StrPath, *, standalone: bool = False, exist: Literal["clear", "error"] = "clear"
    ) -> Self:
        """Same as :meth:`fork`, but a coroutine; a cancellation removes the fork."""
        return await self._created(partial(self.fork, name, top_dir, standalone=standalone, exist=exist))

    async def async_delete(self) -> None:
        """Same as :meth:`delete`, but a coroutine; a cancellation ends the wait for other users, not the deletion."""
        from venvrunner._process import worker

        await worker.call(self._lease.delete)

    async def __aenter__(self) -> Self:
        """Return the runner itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Same as the end of a ``with`` block, but other tasks run meanwhile; a cancellation ends only the wait for them."""
        from venvrunner._process import worker

        try:
            await worker.call(partial(self._lease.leave, error))
        finally:
            self._lease.give_back()  # if no thread could be started

    @classmethod
    async def _created(cls, create: Callable[[], Self]) -> Self:
        from venvrunner._process import worker

        return await worker.call(create, undo=cls._undo)

    def _undo(self) -> None:
        """Remove what a cancelled call has created."""
        self._lease.undo()


def advise_async(call: str, twin: str) -> None:
    """Log once in a process that a call blocks the event loop which runs in this thread.

    It is a record and no ``ResourceWarning``: Python shows none by default, and under ``-W error`` one would break a program
    that works.

    Args:
        call: the call.
        twin: the method that does not block.
    """
    if not _advised and running_task() is not None:
        _advised.append(call)
        kind = call.partition(".")[0]
        logger().warning("%s() blocks the running event loop. Use %s.%s() instead.", call, kind, twin)

"""The environment of a run: what the options ask for, and how it is created and filled."""

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from venvrunner import Receipt, VenvRunner
from venvrunner._cli.display import Lines, in_one_line, logged, reported
from venvrunner._cli.options import is_lock_file, sources
from venvrunner._venv.paths import absolute

if TYPE_CHECKING:
    from venvrunner._install.request import Request

__tracebackhide__ = True


class Order(NamedTuple):
    """What the options ask for.

    Attributes:
        python: the interpreter; ``None``: the running one.
        installer: the installer.
        requirements: requirements, paths and URLs.
        groups: dependency groups.
        files: requirements files.
        editable: directories of projects.
        constraints: constraints files.
        lock: the lock file that is installed before anything else; ``None``: none.
        sources: where packages come from, as keywords of an installation.
        cached: whether the store is used.
        directory: where the environment is kept; ``None``: it is temporary.
        reuse: whether an existing environment is kept if it fits.
    """

    python: str | None
    installer: Any
    requirements: Sequence[str]
    groups: Sequence[str]
    files: Sequence[str]
    editable: Sequence[str]
    constraints: Sequence[str]
    lock: str | None
    sources: dict[str, Any]
    cached: bool
    directory: str | None
    reuse: bool

    def is_empty(self) -> bool:
        """Return whether there is nothing to install."""
        return not (self.requirements or self.groups or self.files or self.editable or self.lock)

    def is_recorded(self) -> bool:
        """Return whether the environment has a record of what it was created with, in its directory or in the store."""
        return self.cached or self.reuse


def order_of(options: argparse.Namespace) -> Order:
    """Return what options ask for.

    Raises:
        ValueError: more than one lock file is named.
    """
    files = [path for path in options.files if not is_lock_file(path)]
    locks = [*([] if options.lock is None else [options.lock]), *(path for path in options.files if is_lock_file(path))]
    if len(locks) > 1:
        msg = f"only one lock file can be installed, not {' and '.join(map(repr, locks))}."
        raise ValueError(msg)
    return Order(
        python=options.python[0] if options.python else None,
        installer=options.installer,
        requirements=options.requirements,
        groups=options.groups,
        files=files,
        editable=options.editable,
        constraints=options.constraints,
        lock=locks[0] if locks else None,
        sources=sources(options),
        cached=options.cached,
        directory=options.keep if options.reuse is None else options.reuse,
        reuse=options.reuse is not None,
    )


def prepare(order: Order, display: Lines, stack: ExitStack, receipts: list[Receipt], check: Callable[[], object]) -> VenvRunner:
    """Create an environment and install what is asked for.

    What the library records of an environment are its requirements or its lock file, so these are a part of the creation if
    the environment may be reused, or come from the store. All else is installed on top.

    Args:
        order: what is asked for.
        display: shows the progress.
        stack: deletes a temporary environment when it is closed.
        receipts: gets the receipts of the installations.
        check: raises the exception of a signal; called after each step.

    Returns:
        the environment's runner.

    Raises:
        VenvError, OSError: the environment cannot be created or filled.
    """
    kind = _runner_class(order, display, receipts)
    about: dict[str, Any] = {"python": order.python, "installer": order.installer, "cached": order.cached}
    about["with_pip"] = order.installer == "pip"
    requirements, groups, lock = order.requirements, order.groups, order.lock
    if order.is_recorded():
        if lock is not None:
            about["lock"], lock = lock, None
        # The store resolves without constraints.
        elif not (order.cached and order.constraints):
            about["requirements"] = [*requirements, *_requirements(groups)]
            requirements, groups = (), ()
    with logged(display):
        if order.directory is None:
            venv = stack.enter_context(kind.temporary(**about))
        else:
            top_dir, name = os.path.split(absolute(order.directory))
            venv = kind(name, top_dir, exist="reuse" if order.reuse else "clear", **about)
        check()
        if lock is not None:
            venv.install(lock=lock)
            check()
        if requirements or groups or order.files or order.editable:
            venv.install(
                *requirements, dependency_groups=groups, requirements_files=order.files, editable=order.editable
            )  # fmt: skip
            check()
    return venv


def _requirements(groups: Sequence[str]) -> Sequence[str]:
    if not groups:
        return ()
    from venvrunner._install.request import group_requirements  # slow to import

    return group_requirements(groups)


def _runner_class(order: Order, display: Lines, receipts: list[Receipt]) -> type[VenvRunner]:
    """Return the class of runners that install as it is asked for, show it, and keep the receipts."""

    class Runner(VenvRunner):
        def _install_now(self, request: "Request", **options: Any) -> Receipt:
            from venvrunner._install.request import make_request

            limits: Any = {} if request.lock is not None else {"constraints": order.constraints}
            added = make_request((), limits | order.sources)
            request = request._replace(
                index_url=added.index_url, find_links=added.find_links, no_index=added.no_index, constraints=added.constraints
            )
            display.begin(f"Installing {in_one_line(_names(order, request))}")
            receipts.append(super()._install_now(request, **{**reported(display), **options}))
            display.result(repr(receipts[-1]))
            return receipts[-1]

        @classmethod
        def _with_entry(cls, *args: Any, **options: Any) -> Any:
            return super()._with_entry(*args, **{**options, "sources": order.sources})

    Runner.__name__ = VenvRunner.__name__  # for its repr
    return Runner


def _names(order: Order, request: "Request") -> list[str]:
    """Return what a request installs, in the words of the order."""
    if request.lock is not None:
        return [request.lock.path]
    names = [*order.requirements, *order.groups] if request.requirements else []
    return (
        names + (list(order.files) if request.requirements_files else []) + (list(order.editable) if request.editable else [])
    )

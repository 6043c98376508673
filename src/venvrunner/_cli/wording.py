"""The wording of messages: the library's keywords as the options of the command line; without I/O."""

import re

__tracebackhide__ = True

_VALUE = r"\[?(?P<value>'[^']*'|\"[^\"]*\")\]?"
_OPTIONS = {
    "requirements_files": "-r",
    "constraints": "--constraint",
    "editable": "-e",
    "dependency_groups": "--group",
    "find_links": "--find-links",
    "lock": "--lock",
    "index_url": "--index-url",
    "installer": "--installer",
    "python": "--python",
}
"""The option for each keyword."""
_NAMES = "|".join(_OPTIONS)
_PHRASES = {
    "Use uv instead: VenvRunner(name, top_dir, python=": "Use uv instead: --python ",
    ", with_pip=False, installer='uv').": " --installer uv.",
    "no_index=True": "--no-index",
    "Use upgrade=True.": "Leave it out: a new environment has nothing to upgrade.",
    "Use pre=True.": "Write --pre into a requirements file, and use -r.",
    "Use require_hashes=True.": "Write --require-hashes into a requirements file, and use -r.",
    "Use deps=False.": "Lock the packages without their dependencies in Python, and use --lock.",
    "no_index=": "--no-index",
    "Use lock(), which": "Use 'venvrunner lock', which",
    "leave out directories with lock_projects=False": "lock without local directories",
    "Leave out directories with lock_projects=False": "Lock without local directories",
    "Leave out all directories with lock_projects=False": "Lock without local directories",
    "Pass the path, the version or the range of an existing one;": "Use --python with the path or the version of one;",
    "Pass another one, for example": "Use another one, for example",
    "Pass the interpreter in it:": "Use the interpreter in it:",
}
"""Whole phrases, which are replaced first."""
_VALUES = re.compile(rf"\b(?P<name>{_NAMES})={_VALUE}")
_WITHOUT_VALUES = re.compile(rf"\b(?P<name>{_NAMES})=(?![\w'\"\[])")
_PREFIXES = re.compile(rf"^(?P<name>{_NAMES}): ", re.MULTILINE)
_INSTALL = re.compile(r"\binstall\((?P<values>'[^()]*')\)")
_UNKNOWN = re.compile(r"Use (?:extra_index_urls|exclude_newer|build_constraints|config_settings)=.+\.$", re.MULTILINE)
_PLAIN = re.compile(r"'([\w./:@=+~-]+)'")


def worded(message: str) -> str:
    """Return a message of the library as the command line says it.

    >>> worded("Use requirements_files=['dev.txt'], or find_links= and no_index=True.")
    'Use -r dev.txt, or --find-links and --no-index.'
    >>> worded("Use one argument for each: install('a', 'b c').")
    "Use one argument for each: --with a --with 'b c'."
    >>> worded("index_url: 'x' is neither a URL nor an existing directory.")
    "--index-url: 'x' is neither a URL nor an existing directory."
    """
    for phrase, ours in _PHRASES.items():
        message = message.replace(phrase, ours)
    message = _UNKNOWN.sub("The command line has no option for it: use the configuration of the installer.", message)
    message = _VALUES.sub(lambda match: f"{_OPTIONS[match['name']]} {_bare(match['value'])}", message)
    message = _WITHOUT_VALUES.sub(lambda match: _OPTIONS[match["name"]], message)
    message = _PREFIXES.sub(lambda match: f"{_OPTIONS[match['name']]}: ", message)
    return _INSTALL.sub(lambda match: _with(match["values"]), message)


def _bare(value: str) -> str:
    """Return a quoted value without the quotes, if a shell needs none."""
    match = _PLAIN.fullmatch(value)
    return value if match is None else match[1]


def _with(values: str) -> str:
    return " ".join(f"--with {_bare(value)}" for value in re.findall(r"'[^']*'", values))

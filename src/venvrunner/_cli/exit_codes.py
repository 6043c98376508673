"""The exit codes of the command line."""

TIMEOUT, FAILURE, NOT_EXECUTABLE, NOT_FOUND, SIGNAL = 124, 125, 126, 127, 128
"""Exit codes, the same as those of timeout(1) and the shells."""

"""The contents of an environment: created from a prepared one, forked, opened, or repaired after a move."""

"""How an environment is filled: created from a prepared one, forked, opened, or repaired after a move."""

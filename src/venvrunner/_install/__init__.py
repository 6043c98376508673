"""What may be installed, and the command lines that do it."""

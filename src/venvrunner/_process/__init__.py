"""How one process runs: the policy without I/O, two drivers, and what joins them."""

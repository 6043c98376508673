"""How an environment is made, and where things are in it."""

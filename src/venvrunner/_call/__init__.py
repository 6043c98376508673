"""Calls of functions in an environment: what is sent, what comes back, and the program that runs in between."""

"""One child process from start to exit: a policy without I/O, and drivers that feed it events."""

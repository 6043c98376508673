"""The fixtures of the pytest plugin: runners, their journal, and shared parents; imported when a test requests a runner."""

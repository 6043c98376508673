"""What the pytest plugin does as soon as a test asks for a runner; until then, nothing of it is imported."""

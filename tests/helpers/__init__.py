"""What several test modules share: wheels, callers, programs and servers, each in a module named after it."""

"""The store: environments that are prepared once, and then forked or copied in milliseconds."""

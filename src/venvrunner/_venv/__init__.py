"""The directory of an environment: where its parts are, who uses it, and how it is protected, emptied and deleted."""

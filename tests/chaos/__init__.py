"""The real stack under a stream of messages while parts of it are killed at random: `python -m tests.chaos`."""

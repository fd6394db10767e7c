"""What a line of a log says: when, how serious, what happened, and the rest. `read` knows the common formats."""

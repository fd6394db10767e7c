"""A module of the project that a workflow imports through the sandbox."""

BREAK = 3600


def stations() -> list[str]:
    return ["weigh", "deliver"]

"""Why a workflow hangs or has failed, judged from what Temporal says of it.

A package of its own because the bot's API and `mika doctor` must say the same, and neither may import the other.
Nothing here imports them, and nothing here connects to anything: who calls brings a connection.
"""

"""Why a workflow hangs or has failed, judged from what Temporal says about it; and the one place that asks Temporal.

The bot's API and `mika doctor` must give the same answer, and neither may import the other: so this package knows
neither. It connects to nothing (the caller brings the connection) and imports the SDK only when a question is asked.
"""

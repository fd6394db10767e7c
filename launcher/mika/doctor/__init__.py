"""The checklist: each check is one function that finds out one thing and says how to fix it."""

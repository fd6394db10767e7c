"""Workflows by name: the story of one, the list of the latest, and what can be done about one."""

"""What the tests of the replay check share: workflows, edits of them, and what a real worker makes of each edit."""

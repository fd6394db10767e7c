"""The view of `mika top`: the whole screen of a terminal, or one text."""

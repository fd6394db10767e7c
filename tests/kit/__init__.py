"""What tests share; each module says what it holds.

`machine` is what a test asks of the machine (a free port, patience, what may be missing), `project` a throw-away
project with the real `mika` on it, `bot` this repository's bot under mika, `bot_processes` and `terminals` the same bot
without mika (`warm` makes their starts cheap), `docker` and `windows` what an engine and Wine need.
"""

"""One module per command. Each has `add(commands)`: it adds a parser whose default `run` is a function of the container
and the arguments, and returns the exit status.
"""

from ops.commands import alive, backup, drill, logs, restore, rollout, schedule

COMMANDS = (backup, restore, drill, schedule, rollout, alive, logs)

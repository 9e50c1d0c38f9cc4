"""One module per command. Each has `add(commands)`: it adds a parser whose default `run` is a function of the container
and the arguments, and returns the exit status.
"""

from ops.commands import alive, backup, certificate, drill, logs, migrate, restore, rollout, schedule

COMMANDS = (migrate, backup, restore, drill, schedule, rollout, alive, certificate, logs)

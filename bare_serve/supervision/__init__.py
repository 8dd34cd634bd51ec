"""The master process: it binds nothing and serves nothing, it keeps workers alive."""

from bare_serve.supervision.background import Work
from bare_serve.supervision.callbacks import Callbacks, Ended
from bare_serve.supervision.handover import Handover, Trial
from bare_serve.supervision.orderly import Orderly
from bare_serve.supervision.pidfile import own_pid_file, pid_file
from bare_serve.supervision.policy import Policy
from bare_serve.supervision.signals import SignalQueue
from bare_serve.supervision.supervisor import Supervisor
from bare_serve.supervision.systemd import Notifier

__all__ = [
    "Callbacks",
    "Ended",
    "Handover",
    "Notifier",
    "Orderly",
    "Policy",
    "SignalQueue",
    "Supervisor",
    "Trial",
    "Work",
    "own_pid_file",
    "pid_file",
]

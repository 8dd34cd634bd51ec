"""The master process: it binds nothing and serves nothing, it keeps workers alive."""

from bare_serve.supervision.handover import Handover, Trial
from bare_serve.supervision.pidfile import pid_file
from bare_serve.supervision.policy import Policy
from bare_serve.supervision.signals import before_the_queue
from bare_serve.supervision.supervisor import Supervisor

__all__ = ["Handover", "Policy", "Supervisor", "Trial", "before_the_queue", "pid_file"]

"""The master process: it binds nothing and serves nothing, it keeps workers alive."""

from bare_serve.supervision.handover import Handover, Trial
from bare_serve.supervision.pidfile import pid_file
from bare_serve.supervision.policy import Policy
from bare_serve.supervision.supervisor import Supervisor

__all__ = ["Handover", "Policy", "Supervisor", "Trial", "pid_file"]

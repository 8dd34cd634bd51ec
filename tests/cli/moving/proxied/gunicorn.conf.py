"""A WSGI application behind nginx."""

import multiprocessing
import os

_here = os.path.dirname(__file__)

wsgi_app = "shop.wsgi:application"
bind = ["unix:shop.sock", "127.0.0.1:8400"]
workers = min(multiprocessing.cpu_count() * 2 + 1, 3)
worker_class = "sync"
worker_tmp_dir = "/dev/shm"
timeout = 120
graceful_timeout = 20
keepalive = 5
max_requests = 1000
max_requests_jitter = 50
backlog = 2048
umask = 0o007
preload_app = True
forwarded_allow_ips = "127.0.0.1,10.0.0.0/8"
secure_scheme_headers = {"X-FORWARDED-SSL": "on"}
proc_name = "shop"
accesslog = "-"
access_log_format = '%(h)s %(t)s "%(r)s" %(s)s %(b)s %(D)s'
errorlog = "-"
loglevel = os.environ.get("LOG_LEVEL", "info")
logconfig = os.path.join(_here, "logging.ini")
raw_env = ["DJANGO_SETTINGS_MODULE=shop.settings"]
statsd_host = None
daemon = False


def when_ready(server):
    server.log.info("ready")


def post_fork(server, worker):
    import random

    random.seed()


def child_exit(server, worker):
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def pre_request(worker, req):
    worker.log.debug("%s %s", req.method, req.path)

import os

bind = f"0.0.0.0:{os.environ.get('PORT', '10000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", 2))
worker_class = "uvicorn.workers.UvicornWorker"
wsgi_app = "shop.asgi:app"
timeout = 0
keepalive = 65
forwarded_allow_ips = "*"
accesslog = None
if os.environ.get("DEBUG"):
    loglevel = "debug"

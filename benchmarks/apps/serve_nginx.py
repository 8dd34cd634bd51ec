"""Becomes an nginx that sends the file to be downloaded: serve_nginx.py TARGET PORT WORKERS.

nginx takes its configuration from a file only, so one is written beside the file to be
sent. The process then replaces itself, so that who started it can end it. TARGET means nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

CONFIGURATION = """
daemon off;
{user}worker_processes {workers};
pid {scratch}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    keepalive_requests 1000000;
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            root {folder};
            try_files /{name} =404;
        }}
    }}
}}
"""

if __name__ == "__main__":
    file, port, workers = Path(os.environ["BENCH_DOWNLOAD_FILE"]), *sys.argv[2:4]
    scratch = file.parent / "nginx"
    scratch.mkdir(exist_ok=True)
    configuration = scratch / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            user="user root;\n" if os.getuid() == 0 else "",
            workers=workers,
            scratch=scratch,
            port=port,
            folder=file.parent,
            name=file.name,
        )
    )
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        sys.exit("nginx is not installed")
    os.execv(program, [program, "-e", "stderr", "-c", str(configuration)])

"""The names that a gunicorn.conf.py sets something by, as of gunicorn 27.

What lives here: the names alone. What must not: what they mean here (config/foreign.py). Any other
name in such a file is the file's own, also one that is a setting of ours or of uvicorn's: `port`,
`env`, `app`.
"""

from __future__ import annotations

from typing import Final

_NAMES: Final = """
access_log_format accesslog asgi_disconnect_grace_period asgi_lifespan asgi_loop backlog bind
ca_certs capture_output casefold_http_method cert_reqs certfile chdir check_config ciphers config
control_socket control_socket_disable control_socket_mode daemon default_proc_name dirty_apps
dirty_graceful_timeout dirty_threads dirty_timeout dirty_workers disable_redirect_access_to_syslog
do_handshake_on_connect dogstatsd_tags enable_backlog_metric enable_stdio_inheritance errorlog
forwarded_allow_ips forwarder_headers graceful_timeout group header_map http2_cleartext
http2_initial_window_size http2_max_concurrent_streams http2_max_frame_size
http2_max_header_list_size http_parser http_protocols initgroups keepalive keyfile
limit_request_field_size limit_request_fields limit_request_line logconfig logconfig_dict
logconfig_json logger_class loglevel max_requests max_requests_jitter paste
permit_obsolete_folding permit_unconventional_http_method permit_unconventional_http_version
pidfile preload_app print_config proc_name protocol proxy_allow_ips proxy_protocol pythonpath
raw_env raw_paste_global_conf reload reload_engine reload_extra_files reuse_port root_path
secure_scheme_headers sendfile spew ssl_version statsd_host statsd_prefix strip_header_spaces
suppress_ragged_eofs syslog syslog_addr syslog_facility syslog_prefix threads timeout
tmp_upload_dir umask user uwsgi_allow_ips websocket_max_message_size worker_class
worker_connections worker_tmp_dir workers wsgi_app
"""
SETTINGS: Final = frozenset(_NAMES.split())

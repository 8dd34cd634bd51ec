"""What is in deploy/ works: real programs read their files, each command line is one that
bare-serve understands, and ports, times and addresses fit each other and the defaults."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from configparser import ConfigParser
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from bare_serve.cli import main as cli
from bare_serve.config.settings import OPTIONS
from bare_serve.errors import UsageError
from tests.support import ROOT, RawClient, eventually, serve
from tests.support.real_proxies import (
    HAPROXY,
    NGINX,
    NGINX_HEAD,
    NGINX_HTTP,
    certificate,
    needs_haproxy,
    needs_nginx,
)

DEPLOY = ROOT / "deploy"
DEFAULTS = {option.name: option.default for option in OPTIONS}
GRACE = DEFAULTS["timeout_graceful_shutdown"]
COMMENT = re.compile(r"^# {3}(bare-serve .+)$", re.MULTILINE)
APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def read(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def unit(name: str) -> ConfigParser:
    parsed = ConfigParser(interpolation=None, strict=False)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read_string(read(f"systemd/{name}").replace("\\\n", " "))
    return parsed


def instructions() -> dict[str, list[str]]:
    """The lines of the Dockerfile, continued ones joined, by their instruction."""
    found: dict[str, list[str]] = {}
    for line in read("container/Dockerfile").replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            found.setdefault(name, []).append(rest.strip())
    return found


def compose() -> dict[str, Any]:
    parsed = yaml.safe_load(read("container/compose.yaml"))
    assert isinstance(parsed, dict)
    return parsed


def manifests() -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in yaml.safe_load_all(read("kubernetes/shop.yaml"))}


def pod() -> dict[str, Any]:
    spec = manifests()["Deployment"]["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def image_command() -> list[str]:
    return list(json.loads(instructions()["CMD"][-1]))


def pod_command() -> list[str]:
    [container] = pod()["containers"]
    return [*container["command"], *container["args"]]


def in_comments(name: str) -> list[str]:
    [line] = COMMENT.findall(read(name))
    return shlex.split(line)


def commands() -> dict[str, list[str]]:
    """Every command line in deploy/ and in the document that goes with it."""
    document = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    documented = re.findall(r"^(bare-serve .+)$", "".join(blocks), re.MULTILINE)
    assert documented
    return {
        "systemd": shlex.split(unit("shop.service")["Service"]["ExecStart"]),
        "image": image_command(),
        "compose": compose()["services"]["app"]["command"],
        "kubernetes": pod_command(),
        **{name: in_comments(name) for name in ("nginx.conf", "haproxy.cfg", "haproxy-tcp.cfg")},
        **{f"deployment.md, {n}": shlex.split(line) for n, line in enumerate(documented, 1)},
    }


def settings_of(
    command: list[str], capsys: pytest.CaptureFixture[str], where: Path
) -> dict[str, Any]:
    """What the real command makes of its arguments."""
    assert Path(command[0]).name == "bare-serve"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        with pytest.raises(SystemExit) as end:
            cli.main([*command[1:], "--print-config", "--log-format", "json"])
    shown = capsys.readouterr()
    assert not end.value.code, shown.err
    return {name: each["value"] for name, each in json.loads(shown.out).items()}


@pytest.mark.parametrize("name", commands())
def test_every_command_line_is_understood(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = settings_of(commands()[name], capsys, tmp_path)
    assert settings["app"]


# ------------------------------------------------------------------ proxies


@pytest.mark.parametrize("name", ["nginx.conf", "haproxy.cfg", "haproxy-tcp.cfg"])
def test_a_proxy_and_its_server_find_and_believe_each_other(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = settings_of(in_comments(name), capsys, tmp_path)
    [bind] = settings["bind"]
    assert re.search(rf"server (?:one )?{re.escape(bind)}[; ]", read(name))
    assert settings["forwarded-allow-ips"] == [bind.partition(":")[0]]
    assert settings["proxy-protocol"] is ("send-proxy" in read(name))


HEADERS = {f"X-Forwarded-{name}" for name in ("For", "Proto", "Host", "Port", "Prefix")}


@pytest.mark.parametrize("name", ["nginx.conf", "container/nginx.conf", "haproxy.cfg"])
def test_a_proxy_overwrites_all_that_is_believed(name: str) -> None:
    believed = {option.name: option.default for option in OPTIONS}["forwarded_headers"]
    assert {each.lower() for each in HEADERS} | {"forwarded"} == {*believed}
    written = re.findall(r"(?:proxy_set_header|set-header|del-header) ([\w-]+)", read(name))
    assert {each.lower() for each in written} >= {*believed}


def test_both_files_for_nginx_say_the_same() -> None:
    def lines(name: str) -> list[str]:
        text = re.sub(r"(?m)^\s*#.*\n", "", read(name))
        return [re.sub(r"/tls/|app:|127.0.0.1:", "/", line) for line in text.splitlines()]

    assert lines("nginx.conf") == lines("container/nginx.conf")


@needs_nginx
@pytest.mark.parametrize("name", ["nginx.conf", "container/nginx.conf"])
def test_nginx_finds_no_fault(name: str, tmp_path: Path) -> None:
    certificate(tmp_path)
    text = re.sub(r"/etc/nginx/(?:tls/)?site\.crt", str(tmp_path / "cert.pem"), read(name))
    text = re.sub(r"/etc/nginx/(?:tls/)?site\.key", str(tmp_path / "cert.key"), text)
    text = text.replace("server app:8000", "server 127.0.0.1:8000")  # a name within compose
    config = tmp_path / "nginx.conf"
    config.write_text((NGINX_HEAD + NGINX_HTTP).format(dir=tmp_path) + text + "}\n")
    command = [
        NGINX,
        "-t",
        "-p",
        str(tmp_path),
        "-e",
        str(tmp_path / "error.log"),
        "-c",
        str(config),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


@needs_haproxy
@pytest.mark.parametrize("name", ["haproxy.cfg", "haproxy-tcp.cfg"])
def test_haproxy_finds_no_fault(name: str, tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(read(name).replace("/etc/haproxy/site.pem", str(certificate(tmp_path))))
    command = [HAPROXY, "-c", "-f", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[WARNING]" not in done.stderr


# ------------------------------------------------------------------ systemd and logrotate


def test_the_service_fits_its_socket_and_the_proxies(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    service = unit("shop.service")["Service"]
    settings = settings_of(shlex.split(service["ExecStart"]), capsys, tmp_path)
    assert settings["bind"] == [], "the socket unit listens"
    listens = unit("shop.socket")["Socket"]["ListenStream"]
    assert f"server {listens};" in read("nginx.conf")
    assert settings["forwarded-allow-ips"] == [listens.partition(":")[0]]
    assert float(service["TimeoutStopSec"]) > settings["timeout-graceful-shutdown"] + 5
    # systemd gives up after 5 starts in 10 seconds, and what a database needs may be longer.
    assert service["RestartPreventExitStatus"] == str(UsageError.exit_code)
    assert float(service["RestartSec"]) > 10 / 5


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    for name in ("shop.service", "shop.socket"):
        text = read(f"systemd/{name}")
        # Its paths and its user are not of this machine.
        for there, here in (("/srv/shop/venv/bin/bare-serve", "/bin/true"), ("=shop\n", "=root\n")):
            text = text.replace(there, here)
        (tmp_path / name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "shop.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    faults = [line for line in done.stderr.splitlines() if "shop." in line]
    assert faults == []


LOGROTATE = shutil.which("logrotate") or shutil.which("/usr/sbin/logrotate")


@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")
def test_logrotate_turns_the_log_over_and_nothing_is_lost(tmp_path: Path) -> None:
    assert LOGROTATE is not None
    log, state, config = tmp_path / "access.log", tmp_path / "state", tmp_path / "rotate.conf"
    with serve("app:app", "--access-log", str(log), source=APP) as server:
        text = read("logrotate.conf")
        for there, here in (
            ("/var/log/shop/access.log", str(log)),
            ("create 0640 shop adm", "create 0640"),
            (
                "systemctl kill --kill-whom=main --signal=USR1 shop.service",
                f"kill -USR1 {server.pid}",
            ),
        ):
            assert there in text
            text = text.replace(there, here)
        config.write_text(text)
        config.chmod(0o644)
        tmp_path.chmod(0o755)  # logrotate shuns what others may write to
        with RawClient(server.address) as client:
            client.request(target="/before")
            eventually(lambda: "/before" in log.read_text(), "the line before")
            command = [LOGROTATE, "--force", "--state", str(state), str(config)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

            def arrived() -> bool:
                client.request(target="/after")
                return "/after" in log.read_text()

            eventually(arrived, "lines in the new file")
        assert "/before" in (tmp_path / "access.log.1").read_text(), "not compressed yet"
        assert "/before" not in log.read_text()


# ------------------------------------------------------------------ containers


def port_of(command: list[str], capsys: pytest.CaptureFixture[str], where: Path) -> int:
    [bind] = settings_of(command, capsys, where)["bind"]
    host, _, port = bind.rpartition(":")
    assert host == "0.0.0.0", "a container's own 127.0.0.1 cannot be reached"
    return int(port)


def test_the_image_is_small_and_its_parts_fit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = instructions()
    assert all("slim" in base for base in said["FROM"])
    assert int(said["USER"][-1]) > 0
    port = port_of(image_command(), capsys, tmp_path)
    assert said["EXPOSE"] == [str(port)]
    ops = settings_of(image_command(), capsys, tmp_path)["ops"]
    assert f"http://{ops}/ready" in said["HEALTHCHECK"][0]
    assert ops.startswith("127.0.0.1:"), "of the container alone"
    assert "--no-cache-dir" in said["RUN"][1]
    patterns = read("container/.dockerignore").split()
    for secret in ("tls", "site.key", ".env"):
        assert any(fnmatch.fnmatch(secret, each.removeprefix("**/")) for each in patterns), secret


def test_the_health_check_tells_well_from_ill() -> None:
    _, _, check = instructions()["HEALTHCHECK"][0].partition("CMD ")
    command = json.loads(check)
    assert command[0] == "python"

    def well() -> bool:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        return done.returncode == 0

    with serve("app:app", "--ops", "127.0.0.1:0", "--drain-delay", "1", source=APP) as server:
        found = re.search(r"ops +http://127.0.0.1:(\d+)", server.output)
        assert found is not None
        assert ":9800/" in command[2]
        code = command[2].replace(":9800/", f":{found[1]}/")
        eventually(well, "a healthy server")
        server.send_signal(signal.SIGTERM)
        eventually(lambda: not well(), "a server that stops", 1)
        assert server.wait() == 0
    assert not well(), "nobody listens"


def test_the_parts_of_compose_fit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    app, nginx = (compose()["services"][name] for name in ("app", "nginx"))
    settings = settings_of(app["command"], capsys, tmp_path)
    port = port_of(app["command"], capsys, tmp_path)
    assert app["expose"] == [str(port)]
    assert "ports" not in app, "only nginx can be reached"
    assert f"server app:{port};" in read("container/nginx.conf")
    [network] = app["networks"]
    assert nginx["networks"] == [network]
    [config] = compose()["networks"][network]["ipam"]["config"]
    assert settings["forwarded-allow-ips"] == [str(ip_network(config["subnet"]))]
    assert seconds(app["stop_grace_period"]) > settings["timeout-graceful-shutdown"] + 5
    assert settings["ops"] == settings_of(image_command(), capsys, tmp_path)["ops"]
    assert nginx["depends_on"]["app"]["condition"] == "service_healthy"
    for volume in nginx["volumes"]:
        here, there, _ = volume.split(":")
        if there.endswith(".conf"):
            assert (DEPLOY / "container" / here).is_file()
        else:
            assert f"{there}/site.crt" in read("container/nginx.conf")


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_the_parts_of_the_manifest_fit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec, found = pod(), manifests()
    [container] = spec["containers"]
    settings = settings_of(pod_command(), capsys, tmp_path)
    port, ops = container["ports"]
    assert port["containerPort"] == port_of(pod_command(), capsys, tmp_path)
    assert settings["ops"] == f"0.0.0.0:{ops['containerPort']}", "where the kubelet gets to"
    for probe, path in (
        ("startupProbe", "/ready"),
        ("readinessProbe", "/ready"),
        ("livenessProbe", "/live"),
    ):
        assert container[probe]["httpGet"] == {"path": path, "port": ops["name"]}
    [secret] = [each for each in spec["volumes"] if "secret" in each]
    [mounted] = [each for each in container["volumeMounts"] if each["name"] == secret["name"]]
    assert settings["ops-token-file"] == f"{mounted['mountPath']}/token"
    assert secret["secret"]["defaultMode"] == 0o440, "the server refuses one that all can read"
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsUser"]
    assert spec["enableServiceLinks"] is False, "or variables that look like settings may come"
    live = container["livenessProbe"]
    patience = live["periodSeconds"] * live["failureThreshold"]
    assert patience > settings["timeout-boot"], "a new master may import for so long"
    start = container["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] > settings["timeout-boot"]
    pause = settings["drain-delay"]
    assert pause >= container["readinessProbe"]["periodSeconds"]
    whole = spec["terminationGracePeriodSeconds"]
    assert whole > pause + settings["timeout-graceful-shutdown"] + 5
    assert spec["securityContext"]["runAsUser"] == int(instructions()["USER"][-1])
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for chooser in (
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert chooser == labels
    assert found["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert {each["name"] for each in container["volumeMounts"]} == {
        each["name"] for each in spec["volumes"]
    }


# ------------------------------------------------------------------ Prometheus and Grafana


NAME = re.compile(r"bare_serve_[a-z_]+")
SELECTOR = re.compile(r"(bare_serve_[a-z_]+)\{([^}]*)\}")


def dashboard() -> dict[str, Any]:
    parsed = json.loads(read("grafana/bare-serve.json"))
    assert isinstance(parsed, dict)
    return parsed


def expressions() -> list[str]:
    """Those of the dashboard and of the alerts."""
    alerts = yaml.safe_load(read("prometheus/alerts.yml"))
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    panels = dashboard()["panels"]
    return [
        *(target["expr"] for panel in panels for target in panel["targets"]),
        *(rule["expr"] for rule in rules),
    ]


def sample_names(directory: Path) -> dict[str, set[str]]:
    """What a server of each kind says, with the names of labels."""
    found: dict[str, set[str]] = {}
    tls = ("--ssl-certfile", str(certificate(directory)))
    asgi = "async def app(scope, receive, send):\n    raise RuntimeError\n"
    for source in (APP, asgi):
        with serve("app:app", "--ops", "127.0.0.1:0", *tls, source=source) as server:
            port = re.search(r"ops +http://127.0.0.1:(\d+)", server.output)
            assert port is not None
            server.send_signal(signal.SIGHUP)
            server.wait_for_output("Reloaded: all workers are new.")

            def text(port: str = port[1]) -> str:
                with RawClient(("127.0.0.1", int(port))) as client:
                    client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    body = client.response().body.decode()
                return body if "bare_serve_connections{" in body else ""

            for line in eventually(text, "what workers count").splitlines():
                if (match := re.match(r"(\w+)(?:\{(.*)\})? ", line)) and line[0] != "#":
                    labels = {*re.findall(r"(\w+)=", match[2] or "")}
                    found.setdefault(match[1], set()).update(labels)
    return found


def test_all_that_is_looked_at_is_measured(tmp_path: Path) -> None:
    known, asked = sample_names(tmp_path), expressions()
    assert len(asked) > 25
    added = {"job", "instance"}  # by Prometheus
    for expression in asked:
        names = NAME.findall(expression)
        assert names
        assert {*names} <= known.keys(), expression
        for name, selector in SELECTOR.findall(expression):
            assert {*re.findall(r"(\w+)=", selector)} <= known[name] | added, expression
        for labels in re.findall(r"by \(([^)]*)\)", expression):
            assert {*labels.split(", ")} <= known[names[0]] | added
        assert expression.count("(") == expression.count(")")


def test_the_dashboard_can_be_loaded() -> None:
    parsed = dashboard()
    ids = [panel["id"] for panel in parsed["panels"]]
    assert len({*ids}) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in parsed["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies on another"
        assert max(x for x, _ in cells) < 24
        taken |= cells
    variables = {each["name"] for each in parsed["templating"]["list"]}
    assert variables == {"source", "job", "instance"}


def test_the_scrape_fits_the_servers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    jobs = yaml.safe_load(read("prometheus/prometheus.yml"))["scrape_configs"]
    local, pods = jobs
    service = unit("shop.service")["Service"]
    settings = settings_of(shlex.split(service["ExecStart"]), capsys, tmp_path)
    assert local["static_configs"] == [{"targets": [settings["ops"]]}]
    assert "credentials_file" in pods["authorization"]
    [port] = [each for each in pod()["containers"][0]["ports"] if each["name"] == "ops"]
    assert f"shop;{port['name']}" in [each.get("regex") for each in pods["relabel_configs"]]
    assert yaml.safe_load(read("prometheus/prometheus.yml"))["rule_files"] == ["alerts.yml"]

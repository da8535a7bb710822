"""The runner starts a container's own program and never leaves one behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localaws.ports import RunError, RunSpec
from localaws.runner.backends import docker_answers, namespaces_work
from localaws.runner.dockerfile import parse
from localaws.runner.environments import LockedEnvironments
from localaws.runner.images import image_name
from localaws.runner.local import LocalRunner

IMAGES = Path(__file__).parent / "images"
SHELL = ("/bin/sh", "-c")


def until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "ml"
    folder.mkdir()
    return folder


@pytest.fixture(params=["process", "namespace"])
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalRunner]:
    if request.param == "namespace" and not namespaces_work(tmp_path):
        pytest.skip("this machine does not allow private mount namespaces")
    runner = LocalRunner([IMAGES], interpreter=Path(sys.executable), backend=request.param)
    yield runner
    runner.close()


def run(runner: LocalRunner, spec: RunSpec) -> tuple[int | None, list[str]]:
    container = runner.run(spec)
    lines = list(container.lines())
    return container.wait(20), lines


def test_the_image_s_own_entry_point_runs_and_finds_its_folder(runner: LocalRunner, work: Path) -> None:
    code, lines = run(runner, RunSpec("a", "1.dkr.ecr/x/echo:1", work, ("train",)))
    assert (code, lines) == (0, ["loss=0.5"])
    assert (work / "model" / "model.txt").read_text() == "a model"


def test_the_command_of_an_image_runs_when_no_arguments_are_given(runner: LocalRunner, work: Path) -> None:
    assert run(runner, RunSpec("a", "worker", work)) == (0, ["from the command"])


def test_an_entry_point_of_the_request_replaces_the_image_s(runner: LocalRunner, work: Path) -> None:
    spec = RunSpec("a", "echo", work, ("echo $FLAVOUR $MINE; exit 7",), SHELL, {"MINE": "x"})
    assert run(runner, spec) == (7, ["plain x"])


def test_a_program_sees_nothing_of_the_server_s_environment(
    runner: LocalRunner, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "yes")
    assert run(runner, RunSpec("a", "echo", work, ('echo "[$SECRET_OF_THE_SERVER]"',), SHELL)) == (0, ["[]"])


def test_threads_that_the_machine_spares_are_told_to_programs_unless_the_request_says_otherwise(
    runner: LocalRunner, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")
    spec = RunSpec("a", "echo", work, ("echo $OMP_NUM_THREADS $POLARS_MAX_THREADS",), SHELL, {"OMP_NUM_THREADS": "3"})
    assert run(runner, spec) == (0, ["3 1"])


def test_a_program_ended_by_a_signal_has_docker_s_exit_code(runner: LocalRunner, work: Path) -> None:
    assert run(runner, RunSpec("a", "echo", work, ("kill -9 $$",), SHELL)) == (137, [])


def test_stopping_lets_a_program_finish_within_its_grace(runner: LocalRunner, work: Path) -> None:
    script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.01; done"
    container = runner.run(RunSpec("a", "echo", work, (script,), SHELL))
    lines = container.lines()
    assert next(lines) == "up"
    assert container.terminate(grace=20) == 5
    assert list(lines) == ["bye"]


def test_stopping_kills_a_program_that_ignores_it(runner: LocalRunner, work: Path) -> None:
    script = "trap '' TERM; echo up; while :; do sleep 0.01; done"
    container = runner.run(RunSpec("a", "echo", work, (script,), SHELL))
    assert next(container.lines()) == "up"
    assert container.terminate(grace=0.05) == 137


def test_what_a_program_left_behind_goes_with_it(runner: LocalRunner, work: Path) -> None:
    code, lines = run(runner, RunSpec("a", "echo", work, ("sleep 300 & setsid sleep 301 & echo $!",), SHELL))
    assert code == 0
    assert until(lambda: not alive(int(lines[0])))


def test_closing_ends_every_container(runner: LocalRunner, work: Path) -> None:
    containers = [runner.run(RunSpec(f"c{n}", "echo", work, ("sleep 300",), SHELL)) for n in range(3)]
    runner.close()
    assert not any(alive(container.pid) for container in containers)
    assert [container.wait(1) for container in containers] == [137] * 3
    with pytest.raises(RunError, match="the runner is closed"):
        runner.run(RunSpec("late", "echo", work, ("train",)))


SERVER = """
    import os
    import sys
    from pathlib import Path
    from localaws.ports import RunSpec
    from localaws.runner.local import LocalRunner
    runner = LocalRunner([Path(sys.argv[1])], interpreter=Path(sys.executable), backend=sys.argv[2])
    script = "trap '' TERM; sleep 300 & setsid sleep 301 & echo $!; (setsid sleep 302 & echo $!); wait; sleep 300"
    containers = []
    for n in range(2):
        spec = RunSpec(f"c{n}", "echo", Path(sys.argv[3]), (script,), ("/bin/sh", "-c"))
        containers.append(runner.run(spec))
    said = [next(lines) for container in containers for lines in [container.lines()] for _ in range(2)]
    print(*said, *(c.pid for c in containers), runner.warden.guardian_pid, flush=True)
    sys.stdin.read()
"""


def test_a_killed_guardian_is_replaced(runner: LocalRunner, work: Path) -> None:
    container = runner.run(RunSpec("a", "echo", work, ("sleep 300",), SHELL))
    os.kill(runner.warden.guardian_pid, signal.SIGKILL)
    assert container.wait(10) == 137
    assert run(runner, RunSpec("b", "echo", work, ("train",))) == (0, ["loss=0.5"])


@pytest.mark.parametrize("victim", ["the server", "the guardian", "the server's whole process group"])
def test_no_child_survives_a_kill_9(runner: LocalRunner, work: Path, victim: str) -> None:
    program = [sys.executable, "-c", textwrap.dedent(SERVER), str(IMAGES), runner.backend.name, str(work)]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        kill_and_look(server, victim)


def kill_and_look(server: subprocess.Popen[str], victim: str) -> None:
    assert server.stdout is not None
    pids = [int(word) for word in server.stdout.readline().split()]
    assert all(alive(pid) for pid in pids)
    if victim == "the guardian":
        os.kill(pids[-1], signal.SIGKILL)
    elif victim == "the server":
        os.kill(server.pid, signal.SIGKILL)
    else:
        os.killpg(server.pid, signal.SIGKILL)
    assert until(lambda: not any(alive(pid) for pid in pids)), [pid for pid in pids if alive(pid)]


def test_an_unknown_image_names_the_folders_there_are(runner: LocalRunner, work: Path) -> None:
    with pytest.raises(RunError, match=r"'repo/ecko:1' cannot be run.*echo, .*worker"):
        runner.run(RunSpec("a", "repo/ecko:1", work))


def test_a_program_that_is_not_there_is_an_error_that_names_it(runner: LocalRunner, work: Path) -> None:
    spec = RunSpec("a", "echo", work, (), ("/no/such/program",))
    if runner.backend.name == "process":
        with pytest.raises(RunError, match="/no/such/program"):
            runner.run(spec)
    else:  # the namespace is there, the program is not: its log says so
        code, lines = run(runner, spec)
        assert code == 127
        assert "/no/such/program" in lines[0]


def test_a_job_without_a_network_cannot_reach_out(work: Path, tmp_path: Path) -> None:
    if not namespaces_work(tmp_path):
        pytest.skip("this machine does not allow private mount namespaces")
    runner = LocalRunner([IMAGES], interpreter=Path(sys.executable), backend="namespace")
    script = "import socket; print([name for _, name in socket.if_nameindex()])"
    spec = RunSpec("a", "echo", work, ("-c", script), (sys.executable,), isolated=True)
    assert run(runner, spec) == (0, ["['lo']"])
    runner.close()


def test_the_real_opt_ml_is_the_work_folder_and_the_rest_of_opt_stays(work: Path, tmp_path: Path) -> None:
    if not namespaces_work(tmp_path):
        pytest.skip("this machine does not allow private mount namespaces")
    runner = LocalRunner([IMAGES], interpreter=Path(sys.executable), backend="namespace")
    code, lines = run(runner, RunSpec("a", "echo", work, ("echo hi > /opt/ml/said; ls /opt",), SHELL))
    runner.close()
    assert code == 0
    assert (work / "said").read_text() == "hi\n"
    assert set(lines) == {path.name for path in Path("/opt").iterdir() if not path.name.startswith(".")} | {"ml"}


def test_docker_gets_the_folder_the_port_the_environment_and_the_arguments(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the docker program: the engine itself is not ours to test."""
    fake = tmp_path / "bin" / "docker"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    runner = LocalRunner([IMAGES])
    assert runner.backend.name == "docker"
    spec = RunSpec("job-1", "r/echo:1", work, ("serve",), environment={"A": "b"}, port=4567)
    assert run(runner, spec)[0] == 0
    runner.close()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[-2].startswith("run --rm --name localaws-")
    assert calls[-2].endswith(f"--volume {work}:/opt/ml --env A=b --publish 127.0.0.1:4567:8080 r/echo:1 serve")
    assert calls[-1].startswith("rm --force localaws-")


@pytest.mark.skipif(not docker_answers(), reason="no container engine answers")
def test_the_real_image_runs_in_docker(work: Path) -> None:
    runner = LocalRunner([IMAGES], backend="docker")
    assert run(runner, RunSpec("localaws-test", "localaws-test/echo:1", work, ("train",))) == (0, ["loss=0.5"])
    runner.close()


def test_a_dockerfile_s_last_stage_decides() -> None:
    program = parse(
        textwrap.dedent(
            """
            # syntax=docker/dockerfile:1
            ARG VERSION=3.11
            FROM python:${VERSION} AS build
            WORKDIR /opt
            ENV A=1 B="two words"
            RUN pip install --require-hashes \\
                # a comment between lines
                -r requirements/serve.txt
            RUN <<END
            ENTRYPOINT ["not", "this"]
            END
            FROM build
            ENV OLD the rest is the value
            ENV C=$A-${MISSING:-x} D=\\$A
            WORKDIR slipway
                    ENTRYPOINT ["python", "-m", "x"]
            CMD serve now
            """
        )
    )
    assert program.entrypoint == ("python", "-m", "x")
    assert program.command == ("/bin/sh", "-c", "serve now")
    assert program.workdir == "/opt/slipway"
    assert program.environment == {"A": "1", "B": "two words", "OLD": "the rest is the value", "C": "1-x", "D": "$A"}
    assert program.lock == "requirements/serve.txt"


def test_a_lock_that_an_earlier_stage_installs_is_the_image_s() -> None:
    program = parse(
        textwrap.dedent(
            """
            FROM python:3.11 AS build
            RUN pip install --prefix=/install --require-hashes -r requirements/serve.txt
            FROM python:3.11-slim
            COPY --from=build /install /usr/local
            ENTRYPOINT ["python", "-m", "inference"]
            """
        )
    )
    assert program.lock == "requirements/serve.txt"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/slipway-dev/training:abc", "training"),
        ("localhost:5000/inference@sha256:00", "inference"),
        ("monitoring", "monitoring"),
    ],
)
def test_the_last_segment_of_an_image_uri_names_its_folder(uri: str, name: str) -> None:
    assert image_name(uri) == name


def test_a_lock_gets_one_environment_however_many_ask_for_it(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("# nothing but the standard library\n")
    environments = LockedEnvironments(tmp_path / "environments")
    with ThreadPoolExecutor(4) as pool:
        pythons = set(pool.map(environments.python, [lock] * 4))
    assert len(pythons) == 1
    prefix = subprocess.check_output([str(pythons.pop()), "-c", "import sys; print(sys.prefix)"], text=True).strip()
    assert prefix.startswith(str(tmp_path))
    lock.write_text("# changed\n")
    assert environments.python(lock).parent.parent.name != Path(prefix).name


def test_an_environment_that_cannot_be_made_says_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    lock = tmp_path / "requirements.txt"
    lock.write_text("no-such-package==1.0 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(RunError, match=r"could not be made: .*pip sync"):
        LockedEnvironments(tmp_path / "environments").python(lock)
    with pytest.raises(RunError, match=r"installs from gone\.txt, but .* does not exist"):
        LockedEnvironments(tmp_path / "environments").python(tmp_path / "gone.txt")

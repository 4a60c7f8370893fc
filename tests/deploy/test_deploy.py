"""The files for containers, as far as they can be checked without any."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from cluster.tf_config import role_of
from intent.cli import build_app
from intent.cli import run as run_cli

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def parts():
    documents = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {document["kind"]: document for document in documents}


def test_each_pod_has_its_role_and_all_the_same_coordinator(parts):
    job, service = parts["Job"], parts["Service"]
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    workers = job["spec"]["completions"]
    roles = [
        role_of({"TF_CONFIG": environment["TF_CONFIG"].replace("$(INDEX)", str(index))})
        for index in range(workers)
    ]
    assert [role.kind for role in roles] == ["coordinator", *["worker"] * (workers - 1)]
    assert {role.workers for role in roles} == {workers} == {job["spec"]["parallelism"]}
    # A pod's name in the cluster is JOB-INDEX.SUBDOMAIN, and the subdomain is the service.
    name = job["metadata"]["name"]
    assert {role.address for role in roles} == {f"{name}-0.{pod['subdomain']}"}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert {role.port for role in roles} == {service["spec"]["ports"][0]["port"]}
    # INDEX must stand before what refers to it.
    names = [entry["name"] for entry in container["env"]]
    assert names.index("INDEX") < names.index("TF_CONFIG")


def test_the_command_has_flags_that_there_are(parts, capsys):
    args = parts["Job"]["spec"]["template"]["spec"]["containers"][0]["args"]
    run_cli(build_app(), [args[0], "--help"])
    help_ = capsys.readouterr().out
    for flag in args[1:]:
        assert flag.split("=")[0] in help_
    assert "--no-such-flag" not in help_


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_images_are_made_of_what_is_here(name):
    text = (DEPLOY / name).read_text().replace("\\\n", " ")
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0].isalpha()]
    copied = [rest.split() for step, rest in steps if step == "COPY"]
    for *sources, _ in copied:
        for source in sources:
            here = source == "." or source.startswith(("--from", "/")) or (ROOT / source).exists()
            assert here, f"{name} copies {source}, which is not there"
    assert {step for step, _ in steps} <= {
        "FROM",
        "RUN",
        "COPY",
        "ENV",
        "WORKDIR",
        "ENTRYPOINT",
        "CMD",
    }
    commands = [json.loads(rest) for step, rest in steps if step in ("ENTRYPOINT", "CMD")]
    assert commands == [["intent"], ["doctor"]]
    modules = re.findall(r"-m (intent[.\w]+)", text)
    assert modules and all((ROOT / f"{m.replace('.', '/')}.py").is_file() for m in modules)


def test_the_gpu_image_changes_lines_that_there_are():
    requirements = (ROOT / "requirements.txt").read_text().splitlines()
    assert sum(line.startswith("tensorflow-cpu==") for line in requirements) == 1
    assert sum(line.startswith("-e ") for line in requirements) == 1
    assert "not run" in (DEPLOY / "Dockerfile.gpu").read_text().lower()

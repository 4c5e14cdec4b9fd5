"""kuberay/, checked without a cluster: by what KubeRay publishes of its fields, and by what that does not look at."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import jsonschema
import pytest
import tyro
import yaml

from digits.commands.training import TrainSettings

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RAY = re.fullmatch(r"ray\[.*\]==([\d.]+)", PROJECT["optional-dependencies"]["serve"][0])[1]
SCHEMA = yaml.safe_load((ROOT / "tests/unit/kuberay_schema/ray.io_v1.yaml").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
DOCKERFILE = (ROOT / "kuberay/Dockerfile").read_text()
FREE = {"rayStartParams", "requests", "limits"}
"""Fields whose keys are names of our own choice, not KubeRay's."""
CLUSTERS = {"rayjob": "rayClusterSpec", "rayservice": "rayClusterConfig"}


def read(name):
    return yaml.safe_load((ROOT / f"kuberay/{name}.yaml").read_text())


@pytest.fixture(params=CLUSTERS)
def name(request):
    return request.param


@pytest.fixture
def manifest(name):
    # YAML's aliases are one object in several places: as JSON each place can be changed alone.
    return json.loads(json.dumps(read(name)))


@pytest.fixture
def cluster(name, manifest):
    return manifest["spec"][CLUSTERS[name]]


def pods_of(cluster):
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def containers_of(cluster):
    return [container for pod in pods_of(cluster) for container in pod["containers"]]


def fields_of(value, inside=""):
    """Each mapping of the manifest, with each of its keys that is a field of KubeRay or of Kubernetes."""
    if isinstance(value, dict):
        for key, child in value.items():
            if inside not in FREE:
                yield value, key
            yield from fields_of(child, key)
    elif isinstance(value, list):
        for child in value:
            yield from fields_of(child, inside)


def test_kuberay_knows_every_field(manifest):
    VALIDATOR.validate(manifest)


def test_each_field_is_refused_when_misspelt(manifest):
    fields = list(fields_of(manifest))
    assert len(fields) > 40
    for mapping, key in fields:
        mapping[f"{key}x"] = mapping.pop(key)
        assert not VALIDATOR.is_valid(manifest), f"{key}x passes"
        mapping[key] = mapping.pop(f"{key}x")
    VALIDATOR.validate(manifest)


@pytest.mark.parametrize(("field", "value"), [("authOptions", {"mode": "none"}), ("rayVersion", 2.6)])
def test_a_value_that_kuberay_would_refuse_is_refused(manifest, cluster, field, value):
    cluster[field] = value
    assert not VALIDATOR.is_valid(manifest)


def test_every_pod_runs_the_ray_that_is_pinned(manifest, cluster):
    assert cluster["rayVersion"] == RAY
    (base,) = re.findall(r"^FROM (.*)$", DOCKERFILE, re.MULTILINE)
    assert base == f"rayproject/ray:{RAY}-py311-cpu"
    gpu = any("nvidia.com/gpu" in container["resources"]["limits"] for container in containers_of(cluster))
    image = f"YOUR-REGISTRY/digits:{RAY}-{'gpu' if gpu else 'cpu'}"
    submitter = manifest["spec"].get("submitterPodTemplate", {"spec": {"containers": []}})["spec"]["containers"]
    assert {container["image"] for container in [*containers_of(cluster), *submitter]} == {image}
    assert f"-t {image} " in DOCKERFILE


def test_the_image_holds_the_project_with_its_own_pins_and_nothing_unpinned():
    (install,) = re.findall(r"^RUN (.*)$", DOCKERFILE, re.MULTILINE)
    assert install == 'pip install --no-cache-dir --constraint constraints.txt --editable ".[${EXTRAS}]"'
    assert "--build-arg EXTRAS=train,serve,gpu" in DOCKERFILE
    assert "gpu" in PROJECT["optional-dependencies"]
    for line in re.findall(r"^COPY --chown=ray:users (.*)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source


def test_the_head_only_coordinates_and_is_seen_inside_the_cluster_only(name, cluster):
    head = cluster["headGroupSpec"]
    assert head["rayStartParams"] == {"num-cpus": "0"}
    assert head["serviceType"] == "ClusterIP"
    text = (ROOT / f"kuberay/{name}.yaml").read_text()
    assert not re.search(r"NodePort|LoadBalancer|hostNetwork|hostPort|[iI]ngress", text)
    assert cluster["authOptions"] == {"mode": "token"}


def test_workers_come_when_needed_and_go_when_idle(cluster):
    assert cluster["enableInTreeAutoscaling"] is True
    assert 0 < cluster["autoscalerOptions"]["idleTimeoutSeconds"] <= 900
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] == group["replicas"] == 0
        assert group["maxReplicas"] >= 1
        assert group["rayStartParams"] == {}, "Ray takes cores and GPUs from the pod's limits"


def test_every_container_is_bounded_and_none_is_root(manifest, cluster):
    pods = pods_of(cluster)
    if "submitterPodTemplate" in manifest["spec"]:
        pods.append(manifest["spec"]["submitterPodTemplate"]["spec"])
    for pod in pods:
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    for container in [cluster["autoscalerOptions"], *(container for pod in pods for container in pod["containers"])]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert {"cpu", "memory"} <= set(requests) == set(limits) <= {"cpu", "memory", "nvidia.com/gpu"}
        assert requests["memory"] == limits["memory"], "a pod over its request is the first to be ended"


def test_only_the_head_may_start_pods(cluster):
    head, *workers = pods_of(cluster)
    assert head["serviceAccountName"] == "digits-head"
    assert {worker["serviceAccountName"] for worker in workers} == {"digits-worker"}


def test_no_secret_and_no_key_stands_in_it(name):
    text = (ROOT / f"kuberay/{name}.yaml").read_text()
    assert not re.search(r"AKIA|aws_secret|aws_access|RAY_AUTH_TOKEN|stringData", text, re.IGNORECASE)
    values = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert values.count("YOUR-BUCKET") == values.count("YOUR-REGISTRY") == 1


def test_the_job_is_a_command_of_ours_with_settings_that_it_knows():
    spec = read("rayjob")["spec"]
    python, script, *flags = shlex.split(spec["entrypoint"])
    (home,) = re.findall(r"^WORKDIR (.*)$", DOCKERFILE, re.MULTILINE)
    assert python == "python"
    assert Path(script).relative_to(home) == Path("jobs/train.py")
    settings = tyro.cli(TrainSettings, args=flags)
    assert settings.on_demand_gpus
    # What is tried again goes on.
    assert spec["backoffLimit"] >= 1
    assert settings.run.run_name == read("rayjob")["metadata"]["name"]
    assert flags[flags.index("--storage-path") + 1] == "s3://YOUR-BUCKET/runs"
    (gpu,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert flags[flags.index("--num-workers") + 1 :] == ["1", str(gpu["maxReplicas"])]
    assert gpu["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_a_job_that_ended_leaves_no_cluster():
    spec = read("rayjob")["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert 0 < spec["ttlSecondsAfterFinished"] <= 3600
    assert spec["activeDeadlineSeconds"] > 0


def test_the_service_is_that_of_its_own_configuration():
    ours = yaml.safe_load((ROOT / "serve/config.yaml").read_text())
    deployed = yaml.safe_load(read("rayservice")["spec"]["serveConfigV2"])
    # Pods ask each other by their addresses, and share nothing but the bucket.
    ours["http_options"]["host"] = "0.0.0.0"
    ours["applications"][0]["deployments"][0]["user_config"]["storage_path"] = "s3://YOUR-BUCKET/runs"
    assert deployed == ours


def test_the_service_has_room_for_two_versions_at_their_largest():
    spec = read("rayservice")["spec"]
    (deployment,) = yaml.safe_load(spec["serveConfigV2"])["applications"][0]["deployments"]
    (group,) = spec["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    cores = group["maxReplicas"] * int(container["resources"]["limits"]["cpu"])
    assert cores >= 2 * deployment["autoscaling_config"]["max_replicas"] * deployment["ray_actor_options"]["num_cpus"]

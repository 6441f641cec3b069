"""What Ray Serve is told to run, and how often.

A server deploys it where the cluster has none. For several servers `serve run` does, by `build`.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.config import load, models_folder
from engine.errors import ModelError
from engine.models import catalogue
from engine.models.catalogue import ModelEntry
from engine.settings import Settings

APPLICATION = "babelbrook"
_ROOT = Path(__file__).resolve().parents[2]
_NO_LIMIT = 1_000_000  # of calls to a replica: its engine has a queue, and `hold` must get through
_LOOK_BACK = 12.0  # seconds that Serve takes the mean load of; it wants more than ten
_LOOK_EVERY = 0.1  # seconds between two looks whether replicas are ready


def application(entry: ModelEntry, settings: Settings) -> Any:
    """The application that answers by an entry. Its file lies at the same path on every node."""
    from ray import serve
    from ray.serve.config import RequestRouterConfig

    from engine.ray.replica import Replica

    sizes, own = settings.ray, settings.engine
    if own.threads == "auto":
        own = own.model_copy(update={"threads": max(1, int(sizes.replica_cpus))})
    with warnings.catch_warnings(action="ignore"):  # Serve deprecates defaults of its own
        deployment = serve.deployment(
            name="engine",
            max_ongoing_requests=_NO_LIMIT,
            request_router_config=RequestRouterConfig(
                request_router_class="engine.ray.routing.LeastBusy"
            ),
            autoscaling_config={
                "min_replicas": sizes.min_replicas,
                "max_replicas": sizes.max_replicas,
                "target_ongoing_requests": sizes.target_streams,
                "upscale_delay_s": sizes.upscale_delay,
                "downscale_delay_s": sizes.downscale_delay,
                "look_back_period_s": _LOOK_BACK,
            },
            ray_actor_options={
                "num_cpus": sizes.replica_cpus,
                "num_gpus": sizes.replica_gpus,
                "runtime_env": {"env_vars": {"PYTHONPATH": str(_ROOT)}},
            },
            logging_config={"enable_access_log": False},
            graceful_shutdown_timeout_s=settings.drain.deadline,
            graceful_shutdown_wait_loop_s=0.2,
            health_check_period_s=2.0,
        )(Replica)
        return deployment.bind(entry.model_dump(mode="json"), own.model_dump(mode="json"))


def runs() -> bool:
    """Whether the cluster that this process is connected to has the application, or soon will."""
    return _state()[0] in ("DEPLOYING", "RUNNING", "UNHEALTHY")


def deploy(app: Any) -> None:
    """Bring the application into the cluster that this process is connected to."""
    from ray import serve

    target = serve.RunTarget(app, name=APPLICATION, route_prefix=None)
    serve.run_many([target], wait_for_applications_running=False)


def wait(timeout: float) -> None:
    """Wait until all replicas that always run are ready.

    Raises ModelError, also when they are not after so many seconds.
    """
    end = time.monotonic() + timeout
    while True:
        state, message = _state()
        if state == "RUNNING":
            return
        if state == "DEPLOY_FAILED":
            raise ModelError(_why(message))
        if time.monotonic() > end:
            raise ModelError(
                f"The replicas were not ready within {timeout:g} s. Are there nodes with the CPUs"
                " and GPUs of ray.replica_cpus and ray.replica_gpus? A large model wants a longer"
                " ray.start_timeout."
            )
        time.sleep(_LOOK_EVERY)


def _state() -> tuple[str, str]:
    """What Serve calls the application's state, "" where it knows none, and all that it tells."""
    from ray import serve

    found = serve.status().applications.get(APPLICATION)
    return ("", "") if found is None else (found.status.value, str(found))


def _why(told: str) -> str:
    """The sentence of the ModelError that a replica ended with, out of all that Serve tells."""
    marker = "engine.errors.ModelError: "
    if marker in told:
        sentence = told.rpartition(marker)[2].replace("\\n", "\n").partition("\n")[0]
        return f"A replica cannot start: {sentence}"
    return f"Ray Serve cannot start the replicas: {told[-1000:]}"


def build(args: Mapping[str, Any]) -> Any:
    """What `deploy/ray/serve.yaml` names: `args` are settings and their values.

    Raises ConfigError and ModelError.
    """
    argv = [word for name, value in args.items() for word in (f"--{name}", str(value))]
    settings = load(argv, os.environ)
    models = settings.models
    entry = catalogue.find(models.selected, models_folder(settings), models.entries)
    return application(entry, settings)

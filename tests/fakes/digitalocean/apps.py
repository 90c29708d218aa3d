"""Apps and their deployments: PENDING_BUILD, BUILDING, DEPLOYING, then ACTIVE or ERROR."""

import copy
from functools import partial

from tests.fakes.digitalocean.cloud import Cloud, Thing
from tests.fakes.digitalocean.wire import JSON, Answer, Asked, Routes, conflict, not_found, paged

ROUTES = Routes()
PHASES = ("PENDING_BUILD", "BUILDING", "DEPLOYING")
BROKEN = "does-not-start"
"""The tag of an image with which no deployment ends well."""
OVER = frozenset({"ACTIVE", "SUPERSEDED", "ERROR", "CANCELED"})


def _show(cloud: Cloud, app: Thing) -> JSON:
    its = _deployments(cloud, app)
    going = [each for each in its if each.fields["phase"] not in OVER]
    active = [each for each in its if each.fields["phase"] == "ACTIVE"]
    shown = app.fields | {"last_deployment_created_at": its[-1].fields["created_at"]}
    shown |= {"in_progress_deployment": _shown(going[-1])} if going else {}
    if not active:
        return shown
    ingress = f"https://{app.fields['spec']['name']}-abcde.ondigitalocean.app"
    return shown | {
        "active_deployment": _shown(active[-1]),
        "default_ingress": ingress,
        "live_url": ingress,
        "live_url_base": ingress,
        "live_domain": ingress.removeprefix("https://"),
    }


def _shown(deployment: Thing) -> JSON:
    return {name: value for name, value in deployment.fields.items() if not name.startswith("_")}


def _deployments(cloud: Cloud, app: Thing) -> list[Thing]:
    return [each for each in cloud.existing("deployment") if each.fields["_app"] == app.id]


@ROUTES.on("POST", "/v2/apps")
def create(cloud: Cloud, asked: Asked) -> Answer:
    """Make one and begin to deploy it; its name is the only one in the account."""
    spec = _kept(cloud, asked.body["spec"])
    _unique(cloud, spec["name"], None)
    uuid = cloud.uuid()
    fields = {"id": uuid, "spec": spec, "created_at": cloud.now(), "updated_at": cloud.now()}
    fields |= {"owner_uuid": "ff36cbc6-c350-4a3e-9a9b-9b9a4a3f1f50", "tier_slug": "basic"}
    app = cloud.add("app", uuid, fields)
    _deploy(cloud, app, "initial deployment")
    return Answer(200, {"app": _show(cloud, app)})


@ROUTES.on("POST", "/v2/apps/propose")
def propose(cloud: Cloud, asked: Asked) -> Answer:
    """Say what a spec would become, and make nothing."""
    spec = _kept(cloud, asked.body["spec"], sealed=False)
    others = [each for each in cloud.existing("app") if each.id != asked.body.get("app_id")]
    free = spec["name"] not in {each.fields["spec"]["name"] for each in others}
    return Answer(200, {"spec": spec, "app_name_available": free, "app_cost": 5, "app_is_static": False})


def _kept(cloud: Cloud, given: JSON, *, sealed: bool = True) -> JSON:
    """The spec as it is kept and shown: with defaults in what was left out, and secret values sealed."""
    spec: JSON = {"region": "nyc"} | copy.deepcopy(given)
    for service in spec.get("services", []):
        for name, value in {"instance_count": 1, "instance_size_slug": "apps-s-1vcpu-0.5gb"}.items():
            service.setdefault(name, value)
        for env in service.get("envs", []):
            if sealed and env.get("type") == "SECRET" and not env["value"].startswith("EV["):
                env["value"] = f"EV[1:{cloud.number()}:{len(env['value'])}]"
    return spec


def _unique(cloud: Cloud, name: str, itself: Thing | None) -> None:
    if any(each is not itself and each.fields["spec"]["name"] == name for each in cloud.existing("app")):
        raise conflict("app name already exists")


@ROUTES.on("GET", "/v2/apps")
def every(cloud: Cloud, asked: Asked) -> Answer:
    """All of them; there is no filter."""
    return paged(asked, "apps", [_show(cloud, each) for each in cloud.listed("app")], cloud.base)


@ROUTES.on("GET", "/v2/apps/{id}")
def one(cloud: Cloud, asked: Asked) -> Answer:
    """The one of that id."""
    return Answer(200, {"app": _show(cloud, cloud.get("app", asked.ids["id"]))})


@ROUTES.on("PUT", "/v2/apps/{id}")
def change(cloud: Cloud, asked: Asked) -> Answer:
    """Give it another spec, and deploy that."""
    app = cloud.alive("app", asked.ids["id"])
    spec = _kept(cloud, asked.body["spec"])
    _unique(cloud, spec["name"], app)
    app.fields.update(spec=spec, updated_at=cloud.now())
    _deploy(cloud, app, "app spec updated")
    return Answer(200, {"app": _show(cloud, app)})


@ROUTES.on("DELETE", "/v2/apps/{id}")
def delete(cloud: Cloud, asked: Asked) -> Answer:
    """Delete it with its deployments; the answer has a body."""
    app = cloud.alive("app", asked.ids["id"])
    for deployment in _deployments(cloud, app):
        deployment.fields["phase"] = "CANCELED"
        cloud.remove(deployment)
    cloud.remove(app)
    return Answer(200, {"id": app.id})


# --- deployments


def _deploy(cloud: Cloud, app: Thing, cause: str) -> Thing:
    for other in _deployments(cloud, app):
        if other.fields["phase"] not in OVER:
            other.fields["phase"] = "SUPERSEDED"
    uuid = cloud.uuid()
    now = cloud.now()
    fields = {"id": uuid, "phase": PHASES[0], "cause": cause, "spec": copy.deepcopy(app.fields["spec"])}
    fields |= {"created_at": now, "updated_at": now, "phase_last_updated_at": now, "_app": app.id}
    deployment = cloud.add("deployment", uuid, fields)
    takes = cloud.lags.duration("deployment")
    for step, phase in enumerate(PHASES[1:], 1):
        cloud.later(takes * step / len(PHASES), partial(_enter, cloud, deployment, phase))
    cloud.later(takes, lambda: _end(cloud, app, deployment))
    return deployment


def _enter(cloud: Cloud, deployment: Thing, phase: str) -> None:
    if deployment.fields["phase"] not in OVER:
        now = cloud.now()
        deployment.fields.update(phase=phase, phase_last_updated_at=now, updated_at=now)


def _end(cloud: Cloud, app: Thing, deployment: Thing) -> None:
    if deployment.fields["phase"] in OVER:
        return
    if cloud.doom("deployment", app.id) or _is_broken(deployment.fields["spec"]):
        _enter(cloud, deployment, "ERROR")
        return
    for other in _deployments(cloud, app):
        if other.fields["phase"] == "ACTIVE":
            other.fields["phase"] = "SUPERSEDED"
    _enter(cloud, deployment, "ACTIVE")


def _is_broken(spec: JSON) -> bool:
    return any(service.get("image", {}).get("tag") == BROKEN for service in spec.get("services", []))


@ROUTES.on("GET", "/v2/apps/{app_id}/deployments")
def deployments(cloud: Cloud, asked: Asked) -> Answer:
    """Its deployments, newest first."""
    app = cloud.get("app", asked.ids["app_id"])
    listed = cloud.listed("deployment")
    shown = [_shown(each) for each in reversed(_deployments(cloud, app)) if each in listed]
    return paged(asked, "deployments", shown, cloud.base)


@ROUTES.on("POST", "/v2/apps/{app_id}/deployments")
def deploy(cloud: Cloud, asked: Asked) -> Answer:
    """Deploy it once more."""
    app = cloud.alive("app", asked.ids["app_id"])
    return Answer(200, {"deployment": _shown(_deploy(cloud, app, "manual"))})


@ROUTES.on("GET", "/v2/apps/{app_id}/deployments/{deployment_id}")
def one_deployment(cloud: Cloud, asked: Asked) -> Answer:
    """One of them."""
    app = cloud.get("app", asked.ids["app_id"])
    deployment = cloud.get("deployment", asked.ids["deployment_id"])
    if deployment.fields["_app"] != app.id:
        raise not_found()
    return Answer(200, {"deployment": _shown(deployment)})

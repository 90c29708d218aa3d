"""Keys to Spaces: the secret is shown once, in the answer to the create."""

from tests.fakes.digitalocean.cloud import Cloud, Thing
from tests.fakes.digitalocean.wire import DONE, JSON, Answer, Asked, Routes, paged

ROUTES = Routes()


def _show(key: Thing) -> JSON:
    return {name: key.fields[name] for name in ("name", "access_key", "grants", "created_at")}


@ROUTES.on("POST", "/v2/spaces/keys")
def create(cloud: Cloud, asked: Asked) -> Answer:
    """Make one: nothing stops a second of the same name."""
    access = f"DO00{cloud.number():016d}"
    secret = f"secret-{cloud.uuid()}"
    fields = {
        "id": access,
        "access_key": access,
        "name": asked.body.get("name", ""),
        "grants": list(asked.body.get("grants") or []),
        "created_at": cloud.now(),
        "secret_key": secret,
    }
    key = cloud.add("spaces_key", access, fields)
    return Answer(201, {"key": _show(key) | {"secret_key": secret}})


@ROUTES.on("GET", "/v2/spaces/keys")
def every(cloud: Cloud, asked: Asked) -> Answer:
    """All, or those of a name."""
    name = asked.query.get("name")
    chosen = [_show(each) for each in cloud.listed("spaces_key") if name in {None, each.fields["name"]}]
    return paged(asked, "keys", chosen, cloud.base)


@ROUTES.on("GET", "/v2/spaces/keys/{access_key}")
def one(cloud: Cloud, asked: Asked) -> Answer:
    """That one, without its secret."""
    return Answer(200, {"key": _show(cloud.get("spaces_key", asked.ids["access_key"]))})


@ROUTES.on("PUT", "/v2/spaces/keys/{access_key}")
@ROUTES.on("PATCH", "/v2/spaces/keys/{access_key}")
def change(cloud: Cloud, asked: Asked) -> Answer:
    """Change its name and grants, as far as they are given."""
    key = cloud.alive("spaces_key", asked.ids["access_key"])
    key.fields.update({name: asked.body[name] for name in ("name", "grants") if name in asked.body})
    return Answer(200, {"key": _show(key)})


@ROUTES.on("DELETE", "/v2/spaces/keys/{access_key}")
def delete(cloud: Cloud, asked: Asked) -> Answer:
    """Delete it."""
    cloud.remove(cloud.alive("spaces_key", asked.ids["access_key"]))
    return DONE

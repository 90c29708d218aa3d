"""Domains and their records. Records of one name and type may be there twice."""

from tests.fakes.digitalocean.cloud import Cloud, Thing
from tests.fakes.digitalocean.wire import DONE, JSON, Answer, Asked, Routes, not_found, paged, unprocessable

ROUTES = Routes()
TTL = 1800
OPTIONAL = ("priority", "port", "weight", "flags", "tag")
SERVERS = ("ns1.digitalocean.com", "ns2.digitalocean.com", "ns3.digitalocean.com")


@ROUTES.on("POST", "/v2/domains")
def create(cloud: Cloud, asked: Asked) -> Answer:
    """Make one; it has its name servers from the beginning."""
    name = str(asked.body["name"])
    if name in {each.id for each in cloud.existing("domain")}:
        raise unprocessable("domain: name is already in use")
    domain = cloud.add("domain", name, {"name": name, "ttl": TTL, "zone_file": ""})
    for server in SERVERS:
        _add(cloud, domain, {"type": "NS", "name": "@", "data": server})
    if asked.body.get("ip_address"):
        _add(cloud, domain, {"type": "A", "name": "@", "data": asked.body["ip_address"]})
    return Answer(201, {"domain": domain.fields | {"ttl": None, "zone_file": None}})


@ROUTES.on("GET", "/v2/domains")
def every(cloud: Cloud, asked: Asked) -> Answer:
    """All of them."""
    return paged(asked, "domains", [each.fields for each in cloud.listed("domain")], cloud.base)


@ROUTES.on("GET", "/v2/domains/{domain_name}")
def one(cloud: Cloud, asked: Asked) -> Answer:
    """The one of that name."""
    return Answer(200, {"domain": cloud.get("domain", asked.ids["domain_name"]).fields})


@ROUTES.on("DELETE", "/v2/domains/{domain_name}")
def delete(cloud: Cloud, asked: Asked) -> Answer:
    """Delete it with its records."""
    domain = cloud.alive("domain", asked.ids["domain_name"])
    for record in cloud.existing("record"):
        if record.fields["_domain"] == domain.id:
            cloud.remove(record)
    cloud.remove(domain)
    return DONE


# --- records


def _add(cloud: Cloud, domain: Thing, body: JSON) -> Thing:
    number = cloud.number()
    fields = {"id": number, "ttl": TTL, "_domain": domain.id, "name": "@", "data": ""}
    fields |= dict.fromkeys(OPTIONAL) | {name: value for name, value in body.items() if name != "id"}
    return cloud.add("record", str(number), fields)


def _show(record: Thing) -> JSON:
    return {name: value for name, value in record.fields.items() if not name.startswith("_")}


def _full_name(record: Thing) -> str:
    """The filter of a list wants the whole name: ``www.example.com``, not ``www``."""
    name, domain = record.fields["name"], record.fields["_domain"]
    return str(domain) if name == "@" else f"{name}.{domain}"


@ROUTES.on("GET", "/v2/domains/{domain_name}/records")
def records(cloud: Cloud, asked: Asked) -> Answer:
    """All, or those of a (whole) name, or of a type."""
    domain = cloud.get("domain", asked.ids["domain_name"])
    name, kind = asked.query.get("name"), asked.query.get("type")
    chosen = [
        _show(each)
        for each in cloud.listed("record")
        if each.fields["_domain"] == domain.id
        and name in {None, _full_name(each)}
        and kind in {None, each.fields["type"]}
    ]
    return paged(asked, "domain_records", chosen, cloud.base)


@ROUTES.on("POST", "/v2/domains/{domain_name}/records")
def create_record(cloud: Cloud, asked: Asked) -> Answer:
    """Make one: nothing stops a second that is the same."""
    domain = cloud.alive("domain", asked.ids["domain_name"])
    if not asked.body.get("data"):
        raise unprocessable("Data can't be blank")
    return Answer(201, {"domain_record": _show(_add(cloud, domain, asked.body))})


def _record(cloud: Cloud, asked: Asked, *, alive: bool) -> Thing:
    find = cloud.alive if alive else cloud.get
    record = find("record", asked.ids["domain_record_id"])
    if record.fields["_domain"] != asked.ids["domain_name"]:
        raise not_found()
    return record


@ROUTES.on("GET", "/v2/domains/{domain_name}/records/{domain_record_id}")
def one_record(cloud: Cloud, asked: Asked) -> Answer:
    """The one of that id."""
    return Answer(200, {"domain_record": _show(_record(cloud, asked, alive=False))})


@ROUTES.on("PATCH", "/v2/domains/{domain_name}/records/{domain_record_id}")
@ROUTES.on("PUT", "/v2/domains/{domain_name}/records/{domain_record_id}")
def change_record(cloud: Cloud, asked: Asked) -> Answer:
    """Change the fields that are given."""
    record = _record(cloud, asked, alive=True)
    record.fields.update({name: value for name, value in asked.body.items() if name != "id"})
    return Answer(200, {"domain_record": _show(record)})


@ROUTES.on("DELETE", "/v2/domains/{domain_name}/records/{domain_record_id}")
def delete_record(cloud: Cloud, asked: Asked) -> Answer:
    """Delete it."""
    cloud.remove(_record(cloud, asked, alive=True))
    return DONE

"""Droplets and what belongs to them, at DigitalOcean.

Read ``driver.py`` first: it is the life of every operation here. ``client.py`` asks the service and says honestly what
came of it, ``limits.py`` how fast; ``verbs.py`` is what the types declare alike, ``calls.py`` what a call is about. What goes
on in the service's own time is in ``actions.py`` and ``deployments.py``. Each type of ``TYPES`` is one file beside these: a
new one is a file, and a line here.
"""

TYPES = {
    "digitalocean.app": "providers.digitalocean.app:App",
    "digitalocean.domain_record": "providers.digitalocean.domain_record:DomainRecord",
    "digitalocean.droplet": "providers.digitalocean.droplet:Droplet",
    "digitalocean.droplet_snapshot": "providers.digitalocean.droplet_snapshot:DropletSnapshot",
    "digitalocean.firewall": "providers.digitalocean.firewall:Firewall",
    "digitalocean.reserved_ip": "providers.digitalocean.reserved_ip:ReservedIp",
    "digitalocean.spaces_key": "providers.digitalocean.spaces_key:SpacesKey",
    "digitalocean.volume": "providers.digitalocean.volume:Volume",
}
"""The types, and where their drivers are. They are loaded when ``[providers.digitalocean]`` names a token."""

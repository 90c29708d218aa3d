"""What the service has on offer: regions, sizes, base images."""

from tests.fakes.digitalocean.wire import JSON, unprocessable

REGIONS = {"nyc1": "New York 1", "nyc3": "New York 3", "ams3": "Amsterdam 3", "fra1": "Frankfurt 1"}
FEATURES = ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"]

SIZES = {
    "s-1vcpu-512mb-10gb": (1, 512, 10, 4),
    "s-1vcpu-1gb": (1, 1024, 25, 6),
    "s-1vcpu-2gb": (1, 2048, 50, 12),
    "s-2vcpu-2gb": (2, 2048, 60, 18),
    "s-2vcpu-4gb": (2, 4096, 80, 24),
    "s-4vcpu-8gb": (4, 8192, 160, 48),
}
"""By slug: processors, memory in MiB, disk in GiB, dollars a month."""

IMAGES = {
    "ubuntu-24-04-x64": (155_133_621, "Ubuntu", "24.04 (LTS) x64", 7),
    "debian-12-x64": (139_794_213, "Debian", "12 x64", 7),
}
"""By slug: id, distribution, name, smallest disk in GiB."""


def region(slug: str) -> JSON:
    """The region; one that is not on offer is refused."""
    if slug not in REGIONS:
        raise unprocessable(f"region {slug!r} is not available")
    return {
        "slug": slug,
        "name": REGIONS[slug],
        "available": True,
        "features": FEATURES,
        "sizes": list(SIZES),
    }


def size(slug: str) -> JSON:
    """The size; one that is not on offer is refused."""
    if slug not in SIZES:
        raise unprocessable(f"You specified an invalid size for Droplet creation: {slug}")
    vcpus, memory, disk, monthly = SIZES[slug]
    return {
        "slug": slug,
        "description": "Basic",
        "available": True,
        "vcpus": vcpus,
        "memory": memory,
        "disk": disk,
        "transfer": 1.0,
        "price_monthly": float(monthly),
        "price_hourly": round(monthly / 672, 5),
        "regions": list(REGIONS),
    }


def base_image(named: str) -> JSON | None:
    """The base image of that slug or id."""
    for slug, (number, distribution, name, least) in IMAGES.items():
        if named in {slug, str(number)}:
            return {
                "id": number,
                "name": name,
                "distribution": distribution,
                "slug": slug,
                "public": True,
                "regions": list(REGIONS),
                "created_at": "2025-05-15T05:47:50Z",
                "min_disk_size": least,
                "size_gigabytes": 2.36,
                "description": "",
                "tags": [],
                "status": "available",
                "error_message": "",
                "type": "base",
            }
    return None

"""The account itself."""

from tests.fakes.digitalocean.cloud import Cloud
from tests.fakes.digitalocean.wire import Answer, Asked, Routes

ROUTES = Routes()


@ROUTES.on("GET", "/v2/account")
def account(cloud: Cloud, asked: Asked) -> Answer:
    """What a client asks to see whether its token is good."""
    return Answer(
        200,
        {
            "account": {
                "droplet_limit": 25,
                "floating_ip_limit": 5,
                "email": "sammy@example.com",
                "name": "Sammy the Shark",
                "uuid": "b6fr89dbf6d9156cace5f3c78dc9851d957381ef",
                "email_verified": True,
                "status": "active",
                "status_message": "",
                "team": {"uuid": "5df3e3004a17e242b7c20ca6c9fc25b701a47ece", "name": "My Team"},
            },
        },
    )

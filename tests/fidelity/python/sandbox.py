"""The sandbox as its environment file describes it."""

import json
import os
import urllib.request


def _need(name):
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} is not set. Run .ci/fidelity, which sets it")
    return value


LOGIN = _need("SF_LOGIN_URL")
CLIENT_ID = _need("SF_CLIENT_ID")
USERNAME = _need("SF_USERNAME")
KEY_FILE = _need("SF_PRIVATE_KEY_FILE")
PUBSUB = _need("SF_PUBSUB_ENDPOINT").removeprefix("https://")
CHANNEL = _need("SF_PROVISION_EVENT_CHANNEL")
CA_FILE = _need("SF_CA_FILE")
WHMCS = _need("WHMCS_URL")
IDENTIFIER = _need("WHMCS_IDENTIFIER")
SECRET = _need("WHMCS_SECRET")
CONTROL = _need("SANDBOX_CONTROL_URL")


def control(method, path, body=None):
    """Calls the control API."""
    request = urllib.request.Request(
        CONTROL + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)

"""Metrics for Prometheus: for the monitoring network, or for whoever holds the token."""

from __future__ import annotations

import hmac
from ipaddress import ip_address, ip_network

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from services.api.described import problems
from services.api.identity import Services, address_of
from services.api.proxies import through_unknown_proxy
from services.errors import NotAllowed
from services.limits import LOOPBACK
from services.metrics import REGISTRY
from services.settings import Settings

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(403)},
)
def metrics(request: Request, services: Services) -> Response:
    """Everything that is counted, in the text form of Prometheus."""
    if not (_holds_token(request, services.settings) or _is_near(request, services.settings)):
        raise NotAllowed("Metrics are for the monitoring network (RECON_METRICS_NETWORKS) or the bearer of the token.")
    text = generate_latest(REGISTRY) + generate_latest(services.observed.registry)
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"})


def _holds_token(request: Request, settings: Settings) -> bool:
    wanted = settings.metrics_token.get_secret_value()
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return bool(wanted) and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), wanted.encode())


def _is_near(request: Request, settings: Settings) -> bool:
    """Whether the caller is in the monitoring network. Behind a proxy nobody vouches for, everyone would seem to be."""
    if through_unknown_proxy(request.scope):
        return False
    try:
        caller = ip_address(address_of(request) or LOOPBACK)
    except ValueError:
        return False
    return any(caller in ip_network(part.strip()) for part in settings.metrics_networks.split(",") if part.strip())

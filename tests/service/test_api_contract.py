"""The API keeps to its own description: called with what that allows, and with what it does not, by schemathesis."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.applications import Starlette
from starlette.routing import Mount

from services.api import build_api
from services.container import Container, build_container
from services.limits import Limited
from services.permissions import Actor, Scope
from tests.servers import http_server
from tests.service.conftest import PASSWORD, make_settings
from tests.work import launch, upload_pair

WIDE = {f"limit_{action}": "1000000/hour" for action in Limited}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def address(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A running API with an administrator, two files and a run: its address, and a token for everything."""
    folder = tmp_path_factory.mktemp("contract")
    shutil.copy(sqlite_template, folder / "recon.db")
    container: Container = build_container(make_settings(folder, **WIDE))
    admin: Actor = container.sessions.resolve(
        container.sessions.start(
            container.accounts.create_first_admin("Ada", "ada@example.org", PASSWORD), "127.0.0.1", "test"
        )
    )
    launch(container, admin, upload_pair(container, admin))
    token, _ = container.api_tokens.create(admin, "contract", list(Scope), PASSWORD)
    with http_server(Starlette(routes=[Mount("/api", build_api(container))])) as client:
        yield str(client.base_url), token
    container.close()


def test_answers_are_as_described(address: tuple[str, str]) -> None:
    """No answer is a fault of the server's, none has a status, a type or a body that the description does not name."""
    base, token = address
    description = httpx.get(f"{base}/api/openapi.json").json()
    operations = list(schemathesis.openapi.from_dict(description).get_all_operations())
    assert len(operations) > 25
    wrong = []
    for found in operations:
        operation = found.ok()

        @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
        @given(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
            | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
        )
        def ask(case: schemathesis.Case) -> None:
            headers = {"Authorization": f"Bearer {token}"}
            case.call_and_validate(base_url=f"{base}/api", headers=headers, checks=CHECKS, timeout=30)

        try:
            ask()
        except (AssertionError, FailureGroup) as fault:
            wrong.append(f"{operation.label}: {fault}")
    assert not wrong, "\n\n".join(wrong)

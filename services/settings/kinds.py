"""What all groups of settings share: how they are read, and kinds of values."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from limits import parse as parse_rate
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


def _rate(text: str) -> str:
    try:
        parse_rate(text)
    except ValueError as error:
        raise ValueError(f"'{text}' is no rate; write it as 10/hour or 20/15 minutes") from error
    return text


def _networks(text: str) -> str:
    for part in filter(None, (part.strip() for part in text.split(","))):
        ip_network(part)  # its ValueError names the part
    return text


RateLimit = Annotated[str, AfterValidator(_rate)]
Networks = Annotated[str, AfterValidator(_networks)]


class Group(BaseSettings):
    """A group of settings. The variable of a field is RECON_<NAME> unless it has a name of its own."""

    model_config = SettingsConfigDict(
        env_prefix="RECON_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

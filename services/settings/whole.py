"""All settings in one, and how they are read: a wrong value names its variable."""

from __future__ import annotations

from typing import Any, Self

from pydantic import AliasChoices, SecretStr, ValidationError, model_validator

from services.errors import ConfigurationError
from services.settings.installation import InstallationSettings
from services.settings.operation import OperationSettings
from services.settings.outside import OutsideSettings
from services.settings.people import PeopleSettings
from services.settings.work import WorkSettings


class Settings(OperationSettings, WorkSettings, PeopleSettings, OutsideSettings, InstallationSettings):
    """Typed settings, of all groups."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.job_heartbeat_seconds * 2 > self.job_lease_seconds:
            raise ValueError("RECON_JOB_HEARTBEAT_SECONDS must be at most half of RECON_JOB_LEASE_SECONDS")
        return self

    def given_secret(self, name: str) -> str:
        """A secret as the environment, or services.startup, gave it; empty when it was not given."""
        value = getattr(self, name, None)
        return value.get_secret_value() if isinstance(value, SecretStr) else ""

    @property
    def automated_backups(self) -> bool:
        """Whether backups are made every hour."""
        return self.is_production if self.enable_automated_backups is None else self.enable_automated_backups

    @property
    def second_factor_rule(self) -> str:
        """Who must have a second factor: optional, admins or everyone."""
        return self.second_factor or ("everyone" if self.is_production else "optional")


def load_settings(**given: Any) -> Settings:
    """Read the settings. Raises ConfigurationError with a line for every wrong variable."""
    settings, faults = read_settings(**given)
    if settings is None or faults:
        raise ConfigurationError("\n".join(faults))
    return settings


def read_settings(**given: Any) -> tuple[Settings | None, list[str]]:
    """The settings and a line for every wrong variable, which then has its default; None when they do not fit."""
    try:
        return Settings(**given), []
    except ValidationError as error:
        faults: list[str] = []
        wrong: dict[str, Any] = {}
        for mistake in error.errors():
            message = str(mistake["msg"]).removeprefix("Value error, ")
            place = str(mistake["loc"][0]) if mistake["loc"] else ""
            faults.append(f"settings: {variable(place)}: {message}" if place else f"settings: {message}")
            # pydantic calls a field by the name that it was given under
            meant = [name for name, field in Settings.model_fields.items() if place in (name, field.validation_alias)]
            wrong |= {name: Settings.model_fields[name].default for name in meant if place}
        if not wrong:
            return None, faults
    settings, others = read_settings(**given | wrong)
    return settings, faults + others


def variable(field_or_alias: str) -> str:
    """The environment variable of a settings field."""
    field = Settings.model_fields.get(field_or_alias)
    if field is None:
        return field_or_alias.upper()
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = str(alias.choices[0])
    return str(alias) if alias else f"RECON_{field_or_alias.upper()}"

"""The start of a process: settings and secrets are read and checked, and every fault is told at once."""

from __future__ import annotations

from typing import Any

from services.encryption import unencrypted_secret, unencrypted_settings
from services.errors import ConfigurationError
from services.resilience import Breakers
from services.secrets import CATALOGUE, Name, NoSecret, Secrets, build_secrets
from services.settings import Settings, read_settings, variable

LEAST_HASH_ROUNDS = 12


def start(**given: Any) -> tuple[Settings, Secrets, Breakers]:
    """The settings, which hold the secrets' present values; the secrets, which follow rotations; their breakers.

    Raises ConfigurationError with a line for every setting at fault and one line for all secrets at fault.
    """
    settings, faults = read_settings(**given)
    if settings is None:
        raise ConfigurationError("\n".join(faults))
    breakers = Breakers(settings)
    if settings.is_production:
        faults += _production_faults(settings) + unencrypted_settings(settings)
    try:
        secrets = build_secrets(settings, breakers)
        wrong = _flaws(settings, secrets) if settings.is_production else _unreadable(settings, secrets)
    except NoSecret as error:
        raise ConfigurationError("\n".join([*faults, _told(settings, dict.fromkeys(CATALOGUE, str(error)))])) from error
    if wrong:
        faults.append(_told(settings, wrong))
    if faults:
        raise ConfigurationError("\n".join(faults))
    held: dict[str, Any] = {name: secrets.get(name) for name in CATALOGUE if name in Settings.model_fields}
    return settings.model_copy(update=held), secrets, breakers


def _production_faults(settings: Settings) -> list[str]:
    """What production demands of the settings beyond each one's own rule."""
    needed = ("aws_region", "uploads_s3_bucket", "backup_s3_bucket")
    faults = [
        f"settings: {variable(name)} is missing; it is needed when APP_ENV=production"
        for name in needed
        if not getattr(settings, name)
    ]
    faults += [
        f"settings: {variable(name)} must not be in the environment when APP_ENV=production; "
        f"put it into AWS Secrets Manager as {secret.stored_as}, or name a mounted file with {variable(name)}_FILE"
        for name, secret in CATALOGUE.items()
        if settings.given_secret(name)
    ]
    if "public_url" not in settings.model_fields_set:
        faults.append(
            f"settings: {variable('public_url')} is missing; links in mails begin with it, as https://recon.example.org"
        )
    if settings.password_hash_rounds < LEAST_HASH_ROUNDS:
        rounds = variable("password_hash_rounds")
        faults.append(f"settings: {rounds} must be {LEAST_HASH_ROUNDS} or more when APP_ENV=production")
    return faults


def _flaws(settings: Settings, secrets: Secrets) -> dict[Name, str]:
    """What is wrong with each secret that cannot serve, the way to a service without TLS included."""
    wrong = secrets.faults()
    for name in CATALOGUE:
        if name not in wrong and (flaw := unencrypted_secret(settings, name, secrets.get(name).get_secret_value())):
            wrong[name] = flaw
    return wrong


def _unreadable(settings: Settings, secrets: Secrets) -> dict[Any, str]:
    """In development a secret may be empty or weak, but a file that was named must be there."""
    named = {name for name in CATALOGUE if getattr(settings, f"{name}_file") is not None}
    return {name: text for name, text in secrets.faults().items() if name in named and "cannot be read" in text}


def _told(settings: Settings, wrong: dict[Any, str]) -> str:
    """One line on all secrets at fault, and what to do."""
    of_manager = {name: CATALOGUE[name].stored_as for name in wrong if getattr(settings, f"{name}_file") is None}
    called = {name: f"{name} ({variable(name + '_file')})" for name in wrong} | of_manager
    line = "secrets: " + "; ".join(f"{called[name]} {text}" for name, text in wrong.items()) + "."
    if not of_manager:
        return line
    region = f" in {settings.aws_region}" if settings.aws_region else ""
    return (
        f"{line} They must be in AWS Secrets Manager{region}, and the application's role must have the IAM permission "
        "secretsmanager:GetSecretValue for them (ops/deploy/iam-policy.json)."
    )

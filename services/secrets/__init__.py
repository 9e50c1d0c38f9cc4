"""Secrets: from AWS Secrets Manager or a mounted file in production, made by the installation itself in development."""

from __future__ import annotations

from services.resilience import Breakers
from services.secrets.catalogue import CATALOGUE, Name, Secret
from services.secrets.sources import Generated, Given, MountedFile, NoSecret, SecretsManager, Source, manager_client
from services.secrets.store import Secrets
from services.settings import Settings

__all__ = ["CATALOGUE", "Name", "NoSecret", "Secrets", "build_secrets"]


def build_secrets(settings: Settings, breakers: Breakers) -> Secrets:
    """The secrets of this process. Asks nobody yet.

    In production a secret is read from its mounted file when NAME_FILE says so, else from Secrets Manager. That is a
    choice made for each secret beforehand, never a fallback: where it cannot be read, it cannot be read.
    """
    files = {secret.name: getattr(settings, f"{secret.name}_file") for secret in CATALOGUE.values()}
    client = None
    if settings.is_production and not all(files.values()):
        client = manager_client(settings.aws_region)

    def source(secret: Secret) -> Source:
        if files[secret.name] is not None:
            return MountedFile(files[secret.name])
        if client is not None:
            return SecretsManager(client, breakers, secret.stored_as)
        given = settings.given_secret(secret.name)
        if secret.generated and not given:
            return Generated(settings.data_dir / "secrets" / secret.name)
        return Given(given)

    sources = {secret.name: source(secret) for secret in CATALOGUE.values()}
    return Secrets(sources, settings.secrets_cache_seconds)

"""In production every service is called by TLS with a checked certificate, or its host is named as an exception."""

from __future__ import annotations

import pytest

from services.encryption import unencrypted_secret, unencrypted_settings
from services.secrets import Name
from services.settings import Settings, load_settings

PASSWORD = "correct-horse-battery"  # pragma: allowlist secret


def load(**given: object) -> Settings:
    """Settings without the developer's .env."""
    return load_settings(_env_file=None, **given)


@pytest.mark.parametrize(
    ("name", "address", "host"),
    [
        ("database_url", "postgresql://u:{}@db/x?sslmode=verify-full&sslrootcert=system", None),
        ("database_url", "postgresql://u:{}@a:5432,b/x?sslmode=verify-full", None),
        ("database_url", "postgresql://u:{}@/x?host=/var/run/postgresql", None),
        ("database_url", "postgresql://u:{}@db/x", "db"),
        ("database_url", "postgresql://u:{}@db/x?sslmode=require", "db"),
        ("database_url", "postgresql://u:{}@db/x?sslmode=verify-ca", "db"),
        ("database_url", "postgresql://u:{}@inside,b/x", "b"),
        ("database_url", "postgresql://u:{}@inside/x?sslmode=disable", None),
        ("database_url", "postgresql://u:{}@inside/x?host=db", "db"),
        ("database_url", "postgresql:///x", "its host"),
        ("database_url", "postgresql://u:{}@db:many/x", "its host"),
        ("redis_url", "rediss://:{}@cache:6379/0?ssl_ca_certs=/run/ca", None),
        ("redis_url", "redis://:{}@cache:6379/0", "cache"),
        ("redis_url", "redis://:{}@inside:6379/0", None),
        ("redis_url", "rediss://:{}@cache:6379/0?ssl_cert_reqs=none", "cache"),
        ("redis_url", "rediss://:{}@cache:6379/0?ssl_check_hostname=false", "cache"),
        ("smtp_url", "smtps://me:{}@mail", None),
        ("smtp_url", "smtp://me:{}@mail:587", None),
        ("smtp_url", "smtp+plain://mail:25", "mail"),
        ("smtp_url", "smtp+plain://inside:25", None),
        ("jwt_secret", "http://no-address", None),
    ],
)
def test_an_address_without_tls_names_its_host(name: Name, address: str, host: str | None) -> None:
    """Each way around TLS or around the check of the certificate is refused, unless the host is an exception."""
    told = unencrypted_secret(load(plain_text_hosts="other, inside"), name, address.format(PASSWORD))
    assert (told is None) is (host is None)
    if told is not None and host is not None:
        assert f"name {host} in RECON_PLAIN_TEXT_HOSTS" in told
        assert told.startswith("does not insist on TLS (")
        assert PASSWORD not in told


def test_every_address_of_the_settings_is_judged() -> None:
    """The addresses of the app, Prometheus, both slots, Amazon and the proxy: a line for each without TLS."""
    plain = {
        "public_url": "http://recon.example.org",
        "prometheus_url": "http://prometheus:9090",
        "rollout_blue": "https://one:2000,http://two:2000",
        "rollout_green": "http://three:2000",
        "aws_endpoint_url": "http://minio:9000",
        "rollout_proxy": "proxy:9999",
    }
    hosts = ["recon.example.org", "prometheus", "two", "three", "minio", "proxy"]
    told = unencrypted_settings(load(**plain))
    assert [line.partition("name ")[2].split()[0] for line in told] == hosts
    assert [line.split()[1] for line in told][:2] == ["RECON_PUBLIC_URL", "PROMETHEUS_URL"]
    assert unencrypted_settings(load(**plain, plain_text_hosts=",".join(hosts))) == []
    encrypted = {name: value.replace("http:", "https:") for name, value in plain.items()}
    assert unencrypted_settings(load(**{**encrypted, "rollout_proxy": "/run/haproxy/admin.sock"})) == []
    assert unencrypted_settings(load()) == []

"""Who may do what and how often: limits, sessions, passwords and registration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from services.settings.kinds import Count, Group, Networks, RateLimit


class PeopleSettings(Group):
    """Who may do what and how often: limits, sessions, passwords and registration."""

    limit_sign_in: RateLimit = "10/hour"
    """Attempts to sign in from one address, right or wrong, as NUMBER/hour or NUMBER/15 minutes."""

    limit_register: RateLimit = "5/hour"
    """Registrations from one address."""

    limit_job_start: RateLimit = "50/hour"
    """Runs that one person may start."""

    limit_upload: RateLimit = "100/hour"
    """Files that one person may upload."""

    limit_list_users: RateLimit = "1000/hour"
    """Times that one person may read the list of accounts."""

    limit_analytics: RateLimit = "500/hour"
    """Times that one person may read the dashboard's numbers."""

    limit_other: RateLimit = "1000/hour"
    """All other calls of the API by one person, or from one address when nobody is signed in."""

    limit_reset: RateLimit = "5/hour"
    """Requests for a new password from one address."""

    limit_feedback: RateLimit = "20/hour"
    """Times that one person may say what they think of a page."""

    trusted_proxies: Networks = ""
    """Addresses or networks (CIDR, with commas) of proxies whose X-Forwarded-For is believed; empty means none."""

    metrics_networks: Networks = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
    """Networks (CIDR, with commas) from which /api/metrics may be read without a token; empty means none."""

    metrics_token: SecretStr = SecretStr("")
    """Bearer token with which /api/metrics may be read from anywhere; empty means none."""

    session_idle_minutes: Count = 30
    """A session without a request for this long is over."""

    session_absolute_hours: Count = 12
    """A session is over after this long, used or not."""

    password_hash_rounds: Annotated[int, Field(ge=4, le=16)] = 12
    """bcrypt cost: each step doubles the time to check one password. Production takes 12 or more."""

    sign_in_free_failures: Count = 5
    """Wrong passwords for one account within an hour after which each further attempt is answered slowly."""

    second_factor: Literal["optional", "admins", "everyone"] | None = None
    """Who must have a second factor; optional: whoever wants one. Empty means everyone in production, else optional."""

    public_url: str = "http://localhost:2000"
    """The address at which people reach the app; links in mails begin with it."""

    registration: Literal["approval", "off"] = "approval"
    """approval: anyone may ask for an account, an administrator decides; off: administrators invite people."""

    registration_domains: str = ""
    """Mail domains (with commas) whose people need no approval once their address is confirmed; empty means none."""

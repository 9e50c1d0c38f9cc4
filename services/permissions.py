"""Who may do what: one table. Every use case checks it, whoever calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import structlog

from services.errors import NotAllowed

log = structlog.get_logger()


class Role(StrEnum):
    """What an account is for. An auditor reads everything and changes nothing."""

    ANALYST = "analyst"
    REVIEWER = "reviewer"
    ADMIN = "admin"
    AUDITOR = "auditor"


class Action(StrEnum):
    """Everything that can be done."""

    FILE_UPLOAD = "file.upload"
    FILE_READ = "file.read"
    PLAN_READ = "plan.read"
    PLAN_EDIT = "plan.edit"
    JOB_LAUNCH = "job.launch"
    JOB_CANCEL = "job.cancel"
    JOB_PAUSE = "job.pause"
    JOB_READ = "job.read"
    RESULT_READ = "result.read"
    RESULT_DOWNLOAD = "result.download"
    RESULT_REVIEW = "result.review"
    ANALYTICS_READ = "analytics.read"
    PASSWORD_CHANGE = "password.change"  # noqa: S105  # pragma: allowlist secret
    SECOND_FACTOR_SET = "second_factor.set"
    FORMATS_SET = "formats.set"
    TOKEN_MANAGE = "token.manage"  # noqa: S105  # pragma: allowlist secret
    ACCOUNT_READ = "account.read"
    ACCOUNT_MANAGE = "account.manage"
    AUDIT_READ = "audit.read"
    HEALTH_READ = "health.read"
    MAIL_RETRY = "mail.retry"
    STORAGE_SYNC = "storage.sync"
    BACKUP_READ = "backup.read"
    BACKUP_RUN = "backup.run"
    ROLLOUT_READ = "rollout.read"
    FEEDBACK_GIVE = "feedback.give"
    FEEDBACK_READ = "feedback.read"


class Scope(StrEnum):
    """What a token of the API is for: it may do what its scopes and its owner's role both allow."""

    READ = "read"
    UPLOAD = "upload"
    RUN = "run"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Actor:
    """The signed-in person on whose behalf a use case runs."""

    account_id: str
    workspace_id: str
    email: str
    name: str
    role: Role
    session_id: str
    address: str
    must_enrol: bool = False
    """A second factor is demanded, and there is none yet: nothing else may be done until there is."""
    number_format: str = ""
    date_format: str = ""
    """How numbers and dates are shown to this person (services/formats.py); empty: as the browser's language says."""
    scopes: frozenset[Scope] | None = None
    """What a token of the API is for; None for a person who has signed in. `session_id` is the token's id then."""


EVERYONE = frozenset(Role)
WORKERS = frozenset({Role.ANALYST, Role.REVIEWER, Role.ADMIN})
OVERSEERS = frozenset({Role.ADMIN, Role.AUDITOR})

ROLE_ACTIONS: dict[Action, frozenset[Role]] = {
    Action.FILE_UPLOAD: WORKERS,
    Action.FILE_READ: EVERYONE,
    Action.PLAN_READ: EVERYONE,
    Action.PLAN_EDIT: WORKERS,
    Action.JOB_LAUNCH: WORKERS,
    Action.JOB_CANCEL: WORKERS,
    Action.JOB_PAUSE: frozenset({Role.ADMIN}),
    Action.JOB_READ: EVERYONE,
    Action.RESULT_READ: EVERYONE,
    Action.RESULT_DOWNLOAD: EVERYONE,
    Action.RESULT_REVIEW: WORKERS,
    Action.ANALYTICS_READ: EVERYONE,
    Action.PASSWORD_CHANGE: EVERYONE,
    Action.SECOND_FACTOR_SET: EVERYONE,
    Action.FORMATS_SET: EVERYONE,
    Action.TOKEN_MANAGE: EVERYONE,
    Action.ACCOUNT_READ: OVERSEERS,
    Action.ACCOUNT_MANAGE: frozenset({Role.ADMIN}),
    Action.AUDIT_READ: OVERSEERS,
    Action.HEALTH_READ: OVERSEERS,
    Action.MAIL_RETRY: frozenset({Role.ADMIN}),
    Action.STORAGE_SYNC: frozenset({Role.ADMIN}),
    Action.BACKUP_READ: OVERSEERS,
    Action.BACKUP_RUN: frozenset({Role.ADMIN}),
    Action.ROLLOUT_READ: OVERSEERS,
    Action.FEEDBACK_GIVE: EVERYONE,
    Action.FEEDBACK_READ: OVERSEERS,
}

SCOPE_ACTIONS: dict[Scope, frozenset[Action]] = {
    Scope.READ: frozenset({
        Action.FILE_READ, Action.PLAN_READ, Action.JOB_READ, Action.RESULT_READ, Action.RESULT_DOWNLOAD,
        Action.ANALYTICS_READ,
    }),
    Scope.UPLOAD: frozenset({Action.FILE_UPLOAD, Action.FILE_READ}),
    Scope.RUN: frozenset({
        Action.PLAN_EDIT, Action.PLAN_READ, Action.FILE_READ, Action.JOB_LAUNCH, Action.JOB_CANCEL, Action.JOB_READ,
    }),
    Scope.ADMIN: frozenset({
        Action.ACCOUNT_READ, Action.AUDIT_READ, Action.HEALTH_READ, Action.BACKUP_READ, Action.ROLLOUT_READ,
        Action.FEEDBACK_READ, Action.JOB_PAUSE, Action.MAIL_RETRY, Action.STORAGE_SYNC, Action.BACKUP_RUN,
    }),
}  # fmt: skip
"""What each scope is for, and seeing what one does with it. An action in none takes a person who has signed in."""

IN_PERSON = frozenset({
    Action.PASSWORD_CHANGE, Action.SECOND_FACTOR_SET, Action.TOKEN_MANAGE, Action.ACCOUNT_MANAGE, Action.FEEDBACK_GIVE,
    Action.FORMATS_SET, Action.RESULT_REVIEW,
})  # fmt: skip
"""Never done by a token: whoever has found one must not be able to make more of it, nor judge in a person's name."""

BEFORE_ENROLMENT = frozenset({Action.PASSWORD_CHANGE, Action.SECOND_FACTOR_SET})


def allowed(role: Role, action: Action) -> bool:
    """Whether accounts of `role` may do `action`. An action missing from the table is allowed to nobody."""
    return role in ROLE_ACTIONS.get(action, frozenset())


def refusal(actor: Actor, action: Action) -> str | None:
    """Why the actor may not do the action, in a sentence; None when the role and the second factor allow it."""
    if actor.must_enrol and action not in BEFORE_ENROLMENT:
        return "A second factor is needed here: set yours up on the page Your account first."
    if not allowed(actor.role, action):
        return f"The role {actor.role} does not allow {action}; ask an administrator."
    return None if actor.scopes is None else _beyond(actor.scopes, action)


def _beyond(scopes: frozenset[Scope], action: Action) -> str | None:
    """Why a token with these scopes may not do the action; None when it may."""
    wanted = [scope for scope, actions in SCOPE_ACTIONS.items() if action in actions]
    if any(scope in scopes for scope in wanted):
        return None
    if not wanted:
        return f"No token may do {action}: sign in for it."
    return f"This token's scopes ({', '.join(sorted(scopes))}) do not allow {action}; it takes the scope {wanted[0]}."


def check(actor: Actor, action: Action) -> None:
    """Raise NotAllowed, and note the attempt, unless the actor may do the action."""
    why = refusal(actor, action)
    if why is not None:
        log.warning("access.refused", action=action, role=actor.role, account=actor.account_id, address=actor.address)
        raise NotAllowed(why)

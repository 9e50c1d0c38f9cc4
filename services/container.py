"""The container: every service, wired once per process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from services import metrics
from services.audit import append_pending, forget_pending
from services.clock import Clock
from services.database import postgresql, rotation
from services.database.engine import WRITE, build_engine, connections_in_use, migrate
from services.database.outages import is_outage, is_unavailable
from services.errors import Unavailable, Unclear
from services.resilience import Breakers
from services.settings import Settings

if TYPE_CHECKING:
    from services.accounts import AccountService
    from services.analytics import AnalyticsService
    from services.api_tokens import ApiTokens
    from services.audit import AuditTrail
    from services.audit_anchor import AuditAnchor
    from services.cache import Cache
    from services.feedback import FeedbackService
    from services.files import FileService
    from services.health import HealthService
    from services.idempotency import Idempotency
    from services.jobs.nodes import WorkerNodes
    from services.jobs.queue import JobQueue
    from services.limits import Limits
    from services.mail.outbox import MailOutbox
    from services.observed import Observed
    from services.operations import OperationsService
    from services.password_links import PasswordLinks
    from services.plans import PlanService
    from services.previews import PreviewService
    from services.redis_link import RedisLink
    from services.registration import RegistrationService
    from services.results import ResultService
    from services.reviews import ReviewService
    from services.rolling import Rolling
    from services.rollout.service import RolloutService
    from services.second_factor import SecondFactorService
    from services.secrets import Secrets
    from services.sessions import SessionService
    from services.storage import ObjectStorage
    from services.storage.mover import SpoolMover
    from services.storage.spool import Spool
    from services.tokens import Tokens


class Container:
    """Holds the adapters and the use cases of one process. Services are made on first use."""

    def __init__(self, settings: Settings, clock: Clock | None = None, breakers: Breakers | None = None) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self.breakers = breakers or Breakers(settings)
        connect = rotation.following(lambda: self.secrets) if settings.is_production else postgresql.plainly
        self.engine = build_engine(settings, connect)
        metrics.app_version.labels(settings.version).set(1)
        metrics.database_connections_max.set(settings.database_pool_size + settings.database_pool_overflow)
        metrics.database_connections_active.set_function(lambda: connections_in_use(self.engine))
        self._readers = sessionmaker(self.engine, expire_on_commit=False)
        self._writers = sessionmaker(self.engine.execution_options(**{WRITE: True}), expire_on_commit=False)
        event.listen(self._writers, "after_rollback", forget_pending)

    def migrate(self) -> None:
        """Bring the schema up to date; waits for the database, however long it is away."""
        for attempt in self.breakers.waiting_for("database", on=is_outage):
            with attempt:
                migrate(self.engine, self.settings.database_app_role)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A database session for reading. Nothing written in it is kept: use `transaction` to write."""
        with _unavailable_when_lost(), self._begun(self._readers) as session:
            yield session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A database session for writing: committed at the end, rolled back when an exception leaves it.

        Raises Unclear when the connection breaks in the commit itself: only the database knows then.
        """
        committing = False
        try:
            with _unavailable_when_lost(), self._begun(self._writers.begin) as session:
                yield session
                append_pending(session)
                session.flush()
                committing = True
        except Unavailable as error:
            if committing and error.__cause__ is not None and is_outage(error.__cause__):
                raise Unclear from error.__cause__
            raise

    @contextmanager
    def _begun(self, begin: Callable[[], AbstractContextManager[Session]]) -> Iterator[Session]:
        """One call to the database: a session whose connection stands. Connecting, and only that, is tried again."""
        with ExitStack() as call:
            for attempt in self.breakers.retrying(
                "database", on=is_outage, deadline_seconds=self.settings.database_retry_seconds
            ):
                with attempt, ExitStack() as connecting:
                    connecting.enter_context(self.breakers.of("database").guard(failures=is_outage))
                    session = connecting.enter_context(begin())
                    session.connection()
                    call.push(connecting.pop_all())
            yield session

    @cached_property
    def redis(self) -> RedisLink | None:
        """Redis, when there is one."""
        from services.redis_link import RedisLink

        given = self.settings.redis_url.get_secret_value()
        return RedisLink(self.settings, self.breakers, self.secrets) if given else None

    @cached_property
    def limits(self) -> Limits:
        """How often somebody may do something."""
        from services.limits import Limits

        return Limits(self)

    @cached_property
    def cache(self) -> Cache:
        """Values that may be computed again."""
        from services.cache import Cache

        return Cache(self)

    @cached_property
    def secrets(self) -> Secrets:
        """Keys and addresses with passwords, in their present versions."""
        from services.secrets import build_secrets

        return build_secrets(self.settings, self.breakers)

    @cached_property
    def tokens(self) -> Tokens:
        """Signed random tokens."""
        from services.tokens import Tokens

        return Tokens(self.secrets)

    @cached_property
    def analytics(self) -> AnalyticsService:
        """The dashboard's numbers."""
        from services.analytics import AnalyticsService

        return AnalyticsService(self)

    @cached_property
    def observed(self) -> Observed:
        """What the database knows of jobs, mail and workers, as metrics."""
        from services.observed import Observed

        return Observed(self)

    @cached_property
    def storage(self) -> ObjectStorage:
        """Uploaded files and results."""
        from services.storage import build_storage

        return build_storage(self)

    @cached_property
    def spool(self) -> Spool:
        """What is kept locally while the object storage is away."""
        from services.storage.spool import Spool

        return Spool(self)

    @cached_property
    def mover(self) -> SpoolMover:
        """Moves what the spool keeps to the object storage."""
        from services.storage.mover import SpoolMover

        return SpoolMover(self)

    @cached_property
    def backup_storage(self) -> ObjectStorage:
        """Backups, under the keys `backups/...`."""
        from services.storage import build_backup_storage

        return build_backup_storage(self)

    @cached_property
    def audit(self) -> AuditTrail:
        """The append-only trail of who did what."""
        from services.audit import AuditTrail

        return AuditTrail(self)

    @cached_property
    def audit_anchor(self) -> AuditAnchor:
        """The trail's end, noted outside the database."""
        from services.audit_anchor import AuditAnchor

        return AuditAnchor(self)

    @cached_property
    def accounts(self) -> AccountService:
        """People who can sign in."""
        from services.accounts import AccountService

        return AccountService(self)

    @cached_property
    def second_factor(self) -> SecondFactorService:
        """Codes of authenticator apps beside the password."""
        from services.second_factor import SecondFactorService

        return SecondFactorService(self)

    @cached_property
    def registration(self) -> RegistrationService:
        """Requests for accounts, and invitations."""
        from services.registration import RegistrationService

        return RegistrationService(self)

    @cached_property
    def password_links(self) -> PasswordLinks:
        """One-time links with which people set their password."""
        from services.password_links import PasswordLinks

        return PasswordLinks(self)

    @cached_property
    def sessions(self) -> SessionService:
        """Sign-ins."""
        from services.sessions import SessionService

        return SessionService(self)

    @cached_property
    def api_tokens(self) -> ApiTokens:
        """Tokens with which programs call the API."""
        from services.api_tokens import ApiTokens

        return ApiTokens(self)

    @cached_property
    def idempotency(self) -> Idempotency:
        """Requests that have their effect once, however often they are sent."""
        from services.idempotency import Idempotency

        return Idempotency(self)

    @cached_property
    def files(self) -> FileService:
        """Uploads and their profiles."""
        from services.files import FileService

        return FileService(self)

    @cached_property
    def plans(self) -> PlanService:
        """Reconciliations in preparation, and saved plans."""
        from services.plans import PlanService

        return PlanService(self)

    @cached_property
    def previews(self) -> PreviewService:
        """What the rules of a plan under edit would match."""
        from services.previews import PreviewService

        return PreviewService(self)

    @cached_property
    def jobs(self) -> JobQueue:
        """The queue of runs."""
        from services.jobs.queue import JobQueue

        return JobQueue(self)

    @cached_property
    def workers(self) -> WorkerNodes:
        """The workers that live."""
        from services.jobs.nodes import WorkerNodes

        return WorkerNodes(self)

    @cached_property
    def mail(self) -> MailOutbox:
        """Mails to send: `mail.enqueue(session, key=…, recipient=…, subject=…, body=…)`."""
        from services.mail.outbox import MailOutbox

        return MailOutbox(self)

    @cached_property
    def results(self) -> ResultService:
        """What runs found."""
        from services.results import ResultService

        return ResultService(self)

    @cached_property
    def operations(self) -> OperationsService:
        """Backups and drills."""
        from services.operations import OperationsService

        return OperationsService(self)

    @cached_property
    def rollouts(self) -> RolloutService:
        """The go / no-go board and the rollout under way."""
        from services.rollout.service import RolloutService

        return RolloutService(self)

    @cached_property
    def reviews(self) -> ReviewService:
        """What people decide on suggested matches."""
        from services.reviews import ReviewService

        return ReviewService(self)

    @cached_property
    def feedback(self) -> FeedbackService:
        """What people think of the pages."""
        from services.feedback import FeedbackService

        return FeedbackService(self)

    @cached_property
    def rolling(self) -> Rolling:
        """The last 24 hours in numbers."""
        from services.rolling import Rolling

        return Rolling(self)

    @cached_property
    def health(self) -> HealthService:
        """The state of everything this process depends on."""
        from services.health import HealthService

        return HealthService(self)

    def close(self) -> None:
        """Give the database connections back."""
        if "health" in self.__dict__:
            self.health.close()
        if "redis" in self.__dict__ and self.redis is not None:
            self.redis.close()
        self.engine.dispose()


@contextmanager
def _unavailable_when_lost() -> Iterator[None]:
    """Turn a lost, refused or overloaded database into Unavailable; other database errors are bugs and pass."""
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        if is_unavailable(error):
            raise Unavailable from error
        raise


def build_container(settings: Settings, clock: Clock | None = None) -> Container:
    """A container for the settings. Touches neither database nor disk until used."""
    return Container(settings, clock)


@lru_cache(maxsize=1)
def get_container() -> Container:
    """The process-wide container, from the environment. Raises ConfigurationError that names every fault."""
    from services.startup import start

    settings, secrets, breakers = start()
    container = Container(settings, breakers=breakers)
    container.secrets = secrets  # they are known by now, and need not be asked for again
    return container

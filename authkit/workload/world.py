"""The synthetic world: one seed, a simulated clock, a stream of labelled attempts.

It knows nothing of how anybody scores a login. The stream is in order of time and
holds one day at once, so memory grows with people and never with attempts. Results on
it are results on a synthetic world and must be called so wherever they are shown.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from random import Random

from authkit.crypto.keyed import KeyedHash
from authkit.errors import InvalidInput
from authkit.workload.attacks import PER_THOUSAND_USERS, PLANNERS, Scene
from authkit.workload.attempt import Attempt, Kind
from authkit.workload.calendar import Calendar
from authkit.workload.identifiers import stream_of, world_key
from authkit.workload.legitimate import Logins
from authkit.workload.noise import Noise
from authkit.workload.outcomes import Referee
from authkit.workload.population import DAY_US, Person, make_population

MAX_USERS = 10_000_000
MAX_DAYS = 3_660
MAX_SCALE = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BY_TIME = attrgetter("at_us")


@dataclass(frozen=True, slots=True)
class World:
    """Parameters of a world; two equal worlds give equal rows, ids included.

    `end` is where the simulated clock stops, `days` before it it starts. `attacks`
    scales the number of campaigns; 0 is a world without them. `activity` scales how
    often people log in, `churn` how often they change addresses and devices. The key
    of subjects and devices comes from the seed unless one is given.
    """

    seed: int
    users: int
    days: int
    end: datetime
    attacks: float = 1.0
    keyed: KeyedHash | None = None
    activity: float = 1.0
    churn: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.users <= MAX_USERS:
            raise InvalidInput(f"users must be between 1 and {MAX_USERS:,}")
        if not 1 <= self.days <= MAX_DAYS:
            raise InvalidInput(f"days must be between 1 and {MAX_DAYS:,}")
        if self.attacks < 0:
            raise InvalidInput("attacks must not be negative")
        if not (0 < self.activity <= MAX_SCALE and 0 < self.churn <= MAX_SCALE):
            raise InvalidInput(f"activity and churn lie above 0, up to {MAX_SCALE}")
        if self.end.tzinfo is None:
            raise InvalidInput("the end of the world has no time zone")

    @property
    def start(self) -> datetime:
        """Where the simulated clock starts."""
        return self.end - timedelta(days=self.days)

    @property
    def start_us(self) -> int:
        """The start in microseconds since 1970."""
        return (self.start - _EPOCH) // timedelta(microseconds=1)

    @property
    def hashing(self) -> KeyedHash:
        """How names and devices become bytes."""
        return self.keyed or KeyedHash(world_key(self.seed))

    def population(self) -> list[Person]:
        """Draw the people, as they are when the world begins."""
        return make_population(
            stream_of(self.seed, "population"),
            self.hashing,
            users=self.users,
            start_us=self.start_us,
            days=self.days,
            # Two worlds fit into one database: their people have other addresses.
            domain=f"w{self.seed}.example.com",
            activity=self.activity,
            churn=self.churn,
        )

    def attempts(self, people: list[Person] | None = None) -> Iterator[Attempt]:
        """Yield every attempt in order of time.

        Args:
            people: a fresh `population()`, whose devices and addresses then change as
                the world runs; drawn where it is not given.
        """
        people = self.population() if people is None else people
        start_us, hashing = self.start_us, self.hashing
        calendar = Calendar(
            stream_of(self.seed, "calendar"), people, start_us=start_us, days=self.days
        )
        logins = Logins(stream_of(self.seed, "logins"), hashing, start_us=start_us)
        scene = Scene(stream_of(self.seed, "attacks"), hashing, people, start_us)
        campaigns = self._campaigns(stream_of(self.seed, "campaigns"))
        referee = Referee(stream_of(self.seed, "outcomes"), people)
        noise = Noise(stream_of(self.seed, "noise"), hashing)
        waiting: list[Attempt] = []
        for day in range(self.days):
            begin = start_us + day * DAY_US
            for person in calendar.on(day):
                waiting.extend(logins.login(person, day))
            while campaigns and campaigns[-1][0] < begin + DAY_US:
                at_us, kind = campaigns.pop()
                for blow in PLANNERS[kind](scene, at_us):
                    waiting.extend(referee.judge(blow))
            waiting.extend(noise.fill(waiting, begin, day))
            waiting.sort(key=_BY_TIME)
            over = bisect_left(waiting, begin + DAY_US, key=_BY_TIME)
            ready, waiting = waiting[:over], waiting[over:]
            yield from ready
        # What spills over the end would have come after the clock stopped.

    def _campaigns(self, rng: Random) -> list[tuple[int, Kind]]:
        """Return when each campaign starts, the last one first."""
        if self.attacks == 0:
            return []
        span = self.days * DAY_US
        planned: list[tuple[int, Kind]] = []
        for kind, rate in PER_THOUSAND_USERS.items():
            count = max(1, round(rate * self.users / 1000 * self.attacks))
            # None at the very edges: a campaign must have a past, and room to end.
            planned.extend(
                (self.start_us + int((0.15 + 0.8 * rng.random()) * span), kind)
                for _ in range(count)
            )
        planned.sort(reverse=True)
        return planned


def whole_hour(moment: datetime | None = None) -> datetime:
    """Return the full hour that has passed last: where a world ends by default."""
    moment = moment or datetime.now(UTC)
    return moment.replace(minute=0, second=0, microsecond=0)

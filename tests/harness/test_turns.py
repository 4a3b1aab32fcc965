"""The loop of a user keeps what locust's own promises: pauses, errors, an end."""

from __future__ import annotations

import json
import subprocess
import sys

TAKEN = """
import json
import gevent
from locust import User
from locust.env import Environment
from locust.event import Events
from locust.exception import RescheduleTask
from authkit.harness.turns import turns

calls, pauses, errors, others = [], [0], [], [0]

def quick(user):
    calls.append("quick")
    if len(calls) >= 40:
        user.stop()  # as locust does to a user at work: it ends after its task
        assert user._state == "stopping"

def failing(user):
    calls.append("failing")
    raise ValueError("of the user's own")

def moved(user):
    calls.append("moved")
    raise RescheduleTask

class Walker(User):
    ended = False
    def __init__(self, environment):
        super().__init__(environment)
        self.tasks = [turns([quick, quick, failing, moved])]
    def wait_time(self):
        pauses[0] += 1
        return 0.0
    def on_stop(self):
        Walker.ended = True

def other():  # runs only while the walker, whose tasks wait for nothing, steps back
    while True:
        others[0] += 1
        gevent.sleep(0)

environment = Environment(user_classes=[Walker], events=Events())
environment.events.user_error.add_listener(
    lambda exception, **_: errors.append(type(exception).__name__)
)
group, beside = gevent.pool.Group(), gevent.spawn(other)
walker = Walker(environment)
walker.start(group)
group.join(timeout=30)
beside.kill()
print(json.dumps([calls, pauses[0], errors, others[0], Walker.ended, len(group)]))
"""


def test_a_users_turns_keep_what_locusts_own_loop_promises():
    ran = subprocess.run(
        [sys.executable, "-c", TAKEN], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    calls, pauses, errors, others, ended, left = json.loads(ran.stdout)
    assert set(calls) == {"quick", "failing", "moved"}
    assert calls.count("quick") > calls.count("moved")  # twice its weight
    # Each task but the last is followed by a pause, whatever became of it.
    assert pauses == len(calls) - 1 >= 39
    assert errors == ["ValueError"] * calls.count("failing")
    assert others >= pauses
    assert (calls[-1], ended, left) == ("quick", True, 0)

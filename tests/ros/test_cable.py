"""The cable between hosts does what it is told: nothing, late, less, out of order."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fleet import wait_for
from hosts import hosts_or_skip

from swarmhold.hardware.errors import NotReadyError
from swarmhold.hardware.network.cable import Switch, Trouble

SENT = 400
EVERYBODY = b"\xff" * 6
SEND = """
import socket, sys, time
to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    to.sendto(f"{number} {time.monotonic()}".encode(), (sys.argv[1], 5000))
    time.sleep(0.002)
"""
HEAR = """
import json, socket, time
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(("0.0.0.0", 5000))
print("ready", flush=True)
heard.settimeout(5.0)
out = []
try:
    while True:
        number, sent = heard.recv(100).split()
        out.append([int(number), time.monotonic() - float(sent)])
        heard.settimeout(1.0)
except TimeoutError:
    print(json.dumps(out))
"""


def frame(source, target, text=b"x" * 20):
    return (bytes([target] * 6) if target is not None else EVERYBODY) + bytes([source] * 6) + text


def meet(switch):
    """Everybody says once where it is."""
    for host in range(switch.hosts):
        switch.send(host, frame(host, None), 0.0)
    return switch.arrivals(1.0)


def test_a_frame_goes_to_its_host_and_to_all_while_that_is_unknown():
    switch = Switch(3)
    assert sorted(host for host, _ in meet(switch)) == [0, 0, 1, 1, 2, 2]
    switch.send(0, frame(0, 2), 1.0)
    assert [host for host, _ in switch.arrivals(1.0)] == [2]
    assert switch.lines[0, 2].frames == 2 and switch.lines[0, 1].frames == 1


def test_a_way_can_be_cut_in_one_direction():
    switch = Switch(2)
    meet(switch)
    switch.lines[0, 1].trouble = Trouble(cut=True)
    switch.send(0, frame(0, 1), 1.0)
    switch.send(1, frame(1, 0), 1.0)
    assert [host for host, _ in switch.arrivals(9.0)] == [0] and switch.wait(9.0) is None


def test_jitter_keeps_the_order_and_reordering_does_not():
    for trouble, kept in (
        (Trouble(delay_s=0.05, jitter_s=0.02), True),
        (Trouble(reorder=0.1), False),
    ):
        switch = Switch(2)
        meet(switch)
        switch.lines[0, 1].trouble = trouble
        texts = [b"%04d" % number for number in range(SENT)]
        for number, text in enumerate(texts):
            switch.send(0, frame(0, 1, text), 1.0 + 0.001 * number)
        before = switch.arrivals(1.0 + trouble.delay_s - 1e-6)
        assert not before or not trouble.delay_s
        got = [found[12:] for _, found in before + switch.arrivals(9.0)]
        assert sorted(got) == texts and (got == texts) is kept


def test_bad_spells_lose_in_runs():
    switch = Switch(2, 3)
    meet(switch)
    switch.lines[0, 1].trouble = Trouble(bursts=1.0)
    for number in range(20_000):
        switch.send(0, frame(0, 1, b"%05d" % number), 1.0 + 0.02 * number)
    got = np.array([int(found[12:]) for _, found in switch.arrivals(1e4)])
    gaps = np.diff(got) - 1
    assert 0.08 < 1.0 - len(got) / 20_000 < 0.18
    assert gaps[gaps > 0].mean() > 8.0, "0.3 s at 50 Hz, on the average"


@pytest.mark.system
def test_a_cable_that_has_ended_is_noticed():
    with hosts_or_skip("a", "b") as hosts:
        hosts.check()
        os.kill(hosts.pid, signal.SIGKILL)
        assert wait_for(lambda: ended(hosts))
        with pytest.raises(NotReadyError, match="no cable between hosts: it has ended"):
            hosts.cut("a", "b")


def ended(hosts):
    try:
        hosts.check()
    except NotReadyError as error:
        return "ended with -9" in str(error)
    return False


def test_the_same_seed_loses_the_same_frames():
    def lost(seed):
        switch = Switch(2, seed)
        meet(switch)
        switch.lines[0, 1].trouble = Trouble(drop=0.3)
        for number in range(SENT):
            switch.send(0, frame(0, 1, b"%04d" % number), 1.0)
        return [found for _, found in switch.arrivals(9.0)]

    assert lost(1) == lost(1) != lost(2)
    assert abs(len(lost(1)) - 0.7 * SENT) < 5 * (SENT * 0.3 * 0.7) ** 0.5


@pytest.mark.system
@pytest.mark.parametrize(
    "trouble", [{}, {"cut": True}, {"delay_s": 0.2}, {"drop": 0.3}, {"reorder": 0.2}], ids=str
)
def test_datagrams_between_hosts_meet_the_trouble_of_the_cable(trouble):
    with hosts_or_skip("a", "b", "c", seed=5) as hosts:
        hosts.trouble("a", "b", both=False, **trouble)
        numbers, delays = sent_over(hosts, "a", "b")
        assert len(sent_over(hosts, "a", "c")[0]) == SENT, "the other cable is whole"
    if "cut" in trouble:
        assert not len(numbers)
        return
    share = 1.0 - trouble.get("drop", 0.0)
    spread = (SENT * share * (1.0 - share)) ** 0.5
    assert abs(len(numbers) - share * SENT) <= 5 * spread
    assert delays.min() >= trouble.get("delay_s", 0.0)
    assert (np.diff(numbers) > 0).all() == ("reorder" not in trouble)


def sent_over(hosts, source, target):
    """Numbers of the datagrams that arrive, in order, and how long each was under way, s."""
    hearing = subprocess.Popen(
        hosts.on(target, sys.executable, "-c", HEAR), stdout=subprocess.PIPE, text=True
    )
    with hearing:
        assert hearing.stdout.readline() == "ready\n"
        send = [sys.executable, "-c", SEND, hosts.addresses[target], str(SENT)]
        subprocess.run(hosts.on(source, *send), check=True, timeout=60)
        heard = json.loads(hearing.stdout.readline())
    rows = np.array(heard, float).reshape(-1, 2)
    return rows[:, 0].astype(int), rows[:, 1]

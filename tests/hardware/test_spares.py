"""Spares take the places of those that are lost for good, once each, as long as there are some."""

from swarmhold.hardware.fleet.spares import Spares

WELL, LOST = ["HEALTHY"] * 4, ["HEALTHY", "LOST", "HEALTHY", "LOST"]


def test_only_who_is_lost_for_long_and_without_a_break():
    spares = Spares(2, 5.0)
    assert spares.look([], 0.0) == spares.look(LOST, 1.0) == spares.look(LOST, 5.9) == []
    assert spares.look(WELL, 5.95) == [] == spares.look(LOST, 6.0)
    assert spares.look(LOST, 10.9) == []
    assert spares.look(LOST, 11.0) == [1, 3]
    assert spares.look(LOST, 99.0) == [], "there are none left"


def test_a_spare_that_is_lost_itself_is_replaced_after_its_own_time():
    spares = Spares(2, 5.0)
    lost = ["LOST", *WELL[1:]]
    spares.look(lost, 0.0)
    assert spares.look(lost, 5.0) == [0] and spares.look(lost, 9.0) == []
    assert spares.look(lost, 10.0) == [0]

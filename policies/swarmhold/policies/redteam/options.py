"""Options of `swarmhold evaluate --red-team`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarmhold.hardware.errors import ConfigError

LEVELS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class RedTeam:
    """Attack the policy instead of breaking robots."""

    red_team: bool = False
    """Attack x weight-source table: scripted, by messages, by gradients, by learned attackers."""
    levels: tuple[int, ...] = LEVELS
    """0 scripted breakdowns, 1 false messages, 2 gradients through the twin, 3 PPO, 4 AMI-lite."""
    attackers: int = 1
    """Robots of every team that attack; return and error are those of the others."""
    attack_steps: int = 150_000
    """Decisions of attackers that levels 3 and 4 learn from."""
    attacker: Path | None = None
    """Folder of a learned attacker: replay it instead of learning one."""
    save_attacker: Path | None = None
    """Folder to store the learned attackers in, one folder per level."""

    def check(self, robots: int) -> None:
        """Refuse what makes no sense.

        Args:
            robots: team size.

        Raises:
            ConfigError: an option is out of range.
        """
        wrong = [level for level in self.levels if level not in LEVELS]
        if wrong or not self.levels:
            raise ConfigError(f"--levels {wrong[0] if wrong else ''}: choose some of 0 1 2 3 4")
        if not 1 <= self.attackers <= robots - 2:
            raise ConfigError(
                f"{self.attackers} attackers among {robots} robots; need at least 1, and at least "
                "2 robots that do not attack"
            )
        if self.attack_steps < 1:
            raise ConfigError(f"--attack-steps {self.attack_steps}; it must be at least 1")

"""The Python shown on the page about simulation runs, and shows what it says."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[2] / "docs/simulation.md"


def test_the_code_on_the_page_runs():
    names = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(code, names)
    assert names["step"].outcome.success.mean() > 0.5
    assert np.array_equal(names["env"].time_s, names["step"].time_s)  # restored
    assert names["many"].num_envs == 64
    names["team"].reset(seed=1)
    assert names["team"].render().shape[-1] == 3
    inputs, _ = names["tensors"].reset()
    assert inputs["self"].shape[0] == 16 * 8

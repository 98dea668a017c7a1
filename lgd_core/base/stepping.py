"""Training by steps rather than epochs: a loop that goes on where it was."""

from collections.abc import Callable

from lgd_core.base.finite import require_finite
from lgd_core.base.runtime import Resume, progress


def run_steps(
    parts: dict, train_step: Callable[[int], float], steps: int, name: str, resume: Resume
) -> float:
    """Call ``train_step`` for every step that is left; return the mean of the last losses.

    ``parts`` are all models, optimisers and schedules that a step changes: restored before the
    first and saved when it is time. The mean is over the last hundredth of the steps. Raises
    UserError where a loss is not finite.
    """
    state = resume.load(name, *parts, "step", "losses") or {"step": 0, "losses": []}
    for key in parts.keys() & state.keys():
        parts[key].load_state_dict(state[key])
    losses = state["losses"]
    with progress(name, steps, state["step"]) as bar:
        for step in range(state["step"], steps):
            losses = [*losses, train_step(step)][-max(1, steps // 100) :]
            require_finite(losses[-1], f"{name}: loss of step {step}", "a lower lr")
            bar.set_postfix(loss=f"{sum(losses) / len(losses):.4f}", refresh=False)
            bar.update()
            if resume.due() or step + 1 == steps:
                states = {key: part.state_dict() for key, part in parts.items()}
                resume.save(name, states | {"step": step + 1, "losses": losses})
    return sum(losses) / len(losses)

"""A graph as plain text."""

from __future__ import annotations

from .picture import Picture, clean, facts


def text(picture: Picture) -> str:
    """One block per step, in written order."""
    lines = [clean(picture.title), picture.summary]
    for position, spec in enumerate(picture.graph.steps):
        mark = picture.mark(position)
        status = f" [{clean(str(mark))}]" if mark else ""
        lines += ["", f"{position + 1}. {clean(spec.name)}{status}"]
        needed = picture.needs[position]
        if needed:
            lines.append(f"   after  {', '.join(clean(picture.graph.steps[other].name) for other in needed)}")
        lines += [f"   {fact.label:<5}  {clean(fact.text)}" for fact in facts(spec)]
        if spec.pivot:
            lines += ["", "=== point of no return: behind it there is only forward ==="]
    return "\n".join(lines)

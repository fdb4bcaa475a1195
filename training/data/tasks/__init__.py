"""The registry of tasks. A module of tasks lists its own in `TASKS`; adding one means adding it to MODULES."""

from __future__ import annotations

from training.data.sample import Task
from training.data.tasks import arithmetic, chat, commerce, finance, legal, medical, passages, reviews, strings, tools

MODULES = [
    arithmetic,
    chat,
    commerce,
    finance,
    legal,
    medical,
    passages,
    reviews,
    strings,
    tools,
]

TASKS: dict[str, Task] = {task.name: task for module in MODULES for task in module.TASKS}

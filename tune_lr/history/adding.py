"""When an import takes the place of an earlier one of the same log."""

from __future__ import annotations

from collections.abc import Iterable

from tune_lr.errors import BadInput
from tune_lr.history.entry import Entry, TaskInfo
from tune_lr.history.store import Store


def replaced_by(entry: Entry, earlier: Iterable[TaskInfo], store: Store) -> list[TaskInfo]:
    """The earlier imports that ``entry`` makes superfluous.

    That is, imports of the same origin all of whose trials ``entry`` has as well, with as many epochs or
    more: the log has grown, or a person corrected its task's name or its metric.
    What has other trials is another log that happens to lie in the same place, and is kept.
    """
    info, found = entry.info, list[TaskInfo]()
    now = dict(zip(entry.trials["trial_id"], entry.trials["epochs"], strict=True))
    for old in earlier:
        same_place = (old.origin, old.source) == (info.origin, info.source)
        if not same_place or old.id == info.id or old.trials > info.trials:
            continue
        try:
            before = store.read(old).trials
        except BadInput:  # damaged: neither read nor thrown away
            continue
        if all(
            now.get(name, -1) >= epochs
            for name, epochs in zip(before["trial_id"], before["epochs"], strict=True)
        ):
            found.append(old)
    return found

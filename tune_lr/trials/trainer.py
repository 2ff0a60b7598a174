"""Which function trains: named by path or module, or handed over as a Python function."""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tune_lr.errors import BadInput, TuneLRError, UnknownName

Train = Callable[[dict[str, Any], Any], Any]


@dataclass(frozen=True)
class Trainer:
    """A reference to ``train(config, trial)`` that travels to worker processes as text.

    ``file`` or ``module`` says where to find it, and is what an experiment writes down. ``pickled`` (base64
    of cloudpickle) is for functions of a notebook, a closure, or the script that runs the job, which no
    worker should run again; it is handed to this job's own workers only and wins over the place.
    """

    function: str = "train"
    file: str | None = None
    module: str | None = None
    pickled: str | None = None
    #: The function itself, in the process that has it.
    local: Train | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Trainer, (self.function, self.file, self.module, self.pickled)

    @classmethod
    def from_text(cls, text: str) -> Trainer:
        """``path/to/file.py[:function]`` or ``package.module[:function]``.

        Raises:
            BadInput: no such file or module.
        """
        where, function, is_path = cls.split(text)
        if is_path:
            path = os.path.expanduser(where)
            if not os.path.isfile(path):
                raise BadInput("trainer", text, "a Python file that exists, as path/to/file.py[:function]")
            return cls(function=function, file=os.path.realpath(path))
        if not all(part.isidentifier() for part in where.split(".")):
            raise BadInput("trainer", text, "path/to/file.py[:function] or package.module[:function]")
        return cls(function=function, module=where)

    @staticmethod
    def split(text: str) -> tuple[str, str, bool]:
        """Where a trainer is by the text that names it, its function, and whether that place is a path.

        Only a name after the last colon is a function: a path may hold colons, that of a drive among them.
        """
        where, _, function = text.rpartition(":")
        if not where or not function.isidentifier():
            where, function = text, "train"
        is_path = where.endswith(".py") or "/" in where or "\\" in where or os.path.isfile(where)
        return where, function, is_path

    @classmethod
    def from_callable(cls, train: Train) -> Trainer:
        """A function: by its file or module where a worker can find it there, else by value."""
        if not callable(train):
            raise BadInput("trainer", train, "a function train(config, trial), or path/to/file.py[:function]")
        name, module = getattr(train, "__qualname__", ""), getattr(train, "__module__", "")
        _require_two_arguments(train, name or repr(train))
        plain = name.isidentifier() and getattr(sys.modules.get(module), name, None) is train
        if plain and module != "__main__":
            spec = getattr(sys.modules[module], "__spec__", None)
            if spec is not None and module.startswith(_FILE_MODULE):
                return cls(function=name, file=spec.origin, local=train)
            if spec is not None:
                return cls(function=name, module=module, local=train)
        import cloudpickle

        pickled = base64.b64encode(cloudpickle.dumps(train)).decode("ascii")
        main = getattr(sys.modules.get("__main__"), "__file__", None)
        file = str(Path(main).resolve()) if plain and main and Path(main).suffix == ".py" else None
        return cls(function=name or "train", file=file, pickled=pickled, local=train)

    def __str__(self) -> str:
        return f"{self.file or self.module or '<function>'}:{self.function}"

    def load(self) -> Train:
        """The function itself; importing its file runs the user's code.

        A file that was edited since this process loaded it is run again; what it imports is not.

        Raises:
            BadInput: it cannot be imported, has no such function, or that takes other arguments.
        """
        if self.local is not None:
            return self.local
        if self.pickled is not None:
            import cloudpickle

            function: Train = cloudpickle.loads(base64.b64decode(self.pickled))
            return function
        try:
            module = self._import()
        except TuneLRError:
            raise
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            raise BadInput("trainer", str(self), f"a trainer that can be imported ({reason})") from error
        function_or_none = getattr(module, self.function, None)
        if not callable(function_or_none):
            known = [name for name, thing in vars(module).items() if inspect.isfunction(thing)]
            raise UnknownName(f"function of trainer {self.file or self.module}", self.function, known)
        _require_two_arguments(function_or_none, str(self))
        train: Train = function_or_none
        return train

    def _import(self) -> ModuleType:
        if self.module is not None:
            if "" not in sys.path and str(Path.cwd()) not in sys.path:
                sys.path.insert(0, str(Path.cwd()))
            return importlib.import_module(self.module)
        return _from_file(Path(str(self.file)))


#: Modules made from a file carry this prefix, so that they never hide an installed one.
_FILE_MODULE = "tune_lr_trainer_"


class _AsRead(SourceFileLoader):
    """Runs the source as it was when this was made, and looks at no ``.pyc``: Python takes an old one for
    current where the file was edited within the same second and kept its size.
    """

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, str(path))
        self.source = path.read_bytes()

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.source, self.path)
        return code


def _from_file(path: Path) -> ModuleType:
    """The module that a file makes: the one that this process has, unless the file has changed since.

    Its name tells the path only, so that checkpoints that mention its classes load after an edit too. The
    module of an edited file is a new one, and functions of the old one keep what they refer to.
    """
    name = _FILE_MODULE + path.stem + "_" + hashlib.sha1(str(path).encode()).hexdigest()[:8]
    if path.suffix != ".py":
        raise BadInput("trainer", str(path), "a Python file")
    loader, before = _AsRead(name, path), sys.modules.get(name)
    if before is not None and getattr(before.__loader__, "source", None) == loader.source:
        return before
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that a file beside the trainer never shadows a library
    spec = ModuleSpec(name, loader, origin=str(path))
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before  # its functions may still be in use; the next load tries again
        raise
    return module


def _require_two_arguments(function: Train, name: str) -> None:
    try:
        inspect.signature(function).bind({}, None)
    except TypeError as error:
        signature = f"{name.rsplit(':', 1)[-1]}{inspect.signature(function)}"
        raise BadInput("trainer", signature, "a function of two arguments, train(config, trial)") from error
    except ValueError:
        return  # a builtin without a signature

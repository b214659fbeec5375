"""Many files and stacks on the disk, resumable, in bounded memory.

The package can be called: ``napari_unet.batch(...)`` is a verb of the front door, see
`napari_unet._api.batch.batch`. A function of this name would be hidden by the package
as soon as a module of it is imported.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Verb(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return import_module("napari_unet._api.batch").batch(*args, **kwargs)

    def __reduce__(
        self,
    ) -> tuple[Any, ...]:  # for cloudpickle
        return import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Verb
